// Shows the instances and keeps the list fresh while anybody looks at it.
// What tenants chose (names, reasons) only ever becomes text, never markup.
"use strict";

const REFRESH_MS = 2000;
const byId = (id) => document.getElementById(id);
let token = sessionStorage.getItem("token");

function duration(ms) {
  const seconds = Math.floor(ms / 1000);
  if (seconds < 60) return `${seconds}s`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)}m ${seconds % 60}s`;
  if (seconds < 86400) return `${Math.floor(seconds / 3600)}h ${Math.floor(seconds / 60) % 60}m`;
  return `${Math.floor(seconds / 86400)}d ${Math.floor(seconds / 3600) % 24}h`;
}

function cell(text, className) {
  const td = document.createElement("td");
  td.textContent = text;
  if (className) td.className = className;
  return td;
}

function address(instance) {
  const link = document.createElement("a");
  link.href = `${location.protocol}//${instance.id}.${instance.service}.${location.host}/`;
  link.textContent = instance.instance;
  const td = document.createElement("td");
  td.append(link);
  return td;
}

function row(instance) {
  const tr = document.createElement("tr");
  const status = cell(instance.status, instance.status);
  if (instance.reason) status.title = instance.reason;
  const up = instance.status === "running";
  tr.append(
    address(instance),
    status,
    cell(instance.health, instance.health),
    cell(up ? duration(instance.uptime_ms) : ""),
    cell(instance.restart_count),
    cell(up ? `${instance.memory_mb} MiB` : ""),
    cell(up ? `${instance.cpu_percent} %` : ""),
  );
  return tr;
}

function show(instances) {
  byId("login").hidden = true;
  byId("main").hidden = false;
  byId("none").hidden = instances.length > 0;
  byId("instances").replaceChildren(...instances.map(row));
  const running = instances.filter((one) => one.status === "running").length;
  byId("summary").textContent = `${running} running of ${instances.length} known`;
}

function ask(message) {
  token = null;
  sessionStorage.removeItem("token");
  byId("main").hidden = true;
  byId("login").hidden = false;
  byId("summary").textContent = message;
  byId("token").focus();
}

async function refresh() {
  if (token && document.visibilityState === "visible") {
    try {
      const answer = await fetch("/api/instances?usage=true", { headers: { Authorization: `Bearer ${token}` } });
      if (answer.status === 401) ask("This token is not valid.");
      else if (answer.ok) show((await answer.json()).instances);
      else byId("summary").textContent = `The daemon answered ${answer.status}.`;
    } catch {
      byId("summary").textContent = "The daemon does not answer; trying again.";
    }
  }
  setTimeout(refresh, REFRESH_MS);
}

byId("login").addEventListener("submit", (event) => {
  event.preventDefault();
  token = byId("token").value.trim();
  sessionStorage.setItem("token", token);
  byId("token").value = "";
  refresh();
});

if (!token) ask("");
refresh();
