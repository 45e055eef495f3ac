// Names of instances as people type them.

/** `service:id` and `service` as filters of the API; nothing where it can be no name yet, as while one types. */
export function parseName(text: string): { service?: string; instance?: string } {
  const name = text.trim().toLowerCase();
  if (/^[a-z0-9]([a-z0-9_-]{0,61}[a-z0-9])?:[a-z0-9]([a-z0-9._-]{0,61}[a-z0-9])?$/.test(name))
    return { instance: name };
  const service = name.replace(/:$/, '');
  return /^[a-z0-9]([a-z0-9_-]{0,61}[a-z0-9])?$/.test(service) ? { service } : {};
}
