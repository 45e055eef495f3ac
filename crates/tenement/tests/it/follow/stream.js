```javascript
const token = "YOUR_TOKEN";
const ws = new WebSocket(`ws://localhost:8000/api/logs/stream`);

ws.onopen = () => {
  ws.send(JSON.stringify({
    type: "auth",
    token: token
  }));

  ws.send(JSON.stringify({
    type: "filter",
    service: "api",
    level: "error"
  }));
};

ws.onmessage = (event) => {
  const log = JSON.parse(event.data);
  console.log(`[${log.instance}] ${log.message}`);
};
```
