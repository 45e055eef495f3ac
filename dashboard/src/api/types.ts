// What the description has no name for yet, or what a stream says.
import type { Schemas } from './client';

export type Status = Schemas['Status'];
export type Health = Schemas['Health'];
export type Scope = Schemas['Scope'];

/** `GET /api/session`. */
export type SessionInfo = {
  id: string;
  name: string;
  scopes: Scope[];
  service: string | null;
  instance: string | null;
  expires_at: string | null;
  kind: 'token' | 'link' | 'local';
  version: string;
  domain: string;
};

/** `POST /api/session`. */
export type CreatedSession = {
  token: string;
  id: string;
  name: string;
  scopes: Scope[];
  expires_at: string | null;
};

/** One instance in the overview. */
export type Row = {
  instance: string;
  service: string;
  id: string;
  status: Status;
  health: Health;
  reason?: string | null;
  /** Milliseconds since 1970: when the status began, or the process became ready. */
  since: number;
  memory_mb: number | null;
  /** Of one core. */
  cpu_percent: number | null;
  requests: number;
  errors: number;
  rps: number;
  eps: number;
  restarts: number;
  last_wake: number | null;
  wake_ms: number | null;
  pid?: number | null;
  /** Requests per second, the last 30 samples of 10 s; in snapshots only. */
  spark?: number[];
};

/** The machine; a token that is bound gets the last three of the outer level only. */
export type Machine = {
  cores?: number;
  cpu_percent?: number | null;
  load?: [number, number, number];
  memory_mb?: number;
  memory_total_mb?: number;
  /** Null where it does not answer. */
  disk_mb?: number | null;
  disk_total_mb?: number | null;
  instances_memory_mb?: number | null;
  daemon?: { pid: number; memory_mb: number; cpu_percent: number | null; uptime_ms: number };
  instances: Partial<Record<Status, number>> & { total: number };
  requests_per_second: number;
  errors_per_second: number;
};

/** `GET /api/overview?follow=true`. */
export type OverviewMessage =
  | { type: 'snapshot'; at: number; more: boolean; instances: Row[] }
  | { type: 'changes'; at: number; instances: Row[]; gone: string[] }
  | ({ type: 'machine'; at: number } & Machine);
