// Names of instances as people type them.

/** `service:id` and `service` as filters of the API; nothing where it can be no name yet, as while one types. */
export function parseName(text: string): { service?: string; instance?: string } {
  const name = text.trim().toLowerCase();
  if (/^[a-z0-9]([a-z0-9_-]{0,61}[a-z0-9])?:[a-z0-9]([a-z0-9._-]{0,61}[a-z0-9])?$/.test(name))
    return { instance: name };
  const service = name.replace(/:$/, '');
  return /^[a-z0-9]([a-z0-9_-]{0,61}[a-z0-9])?$/.test(service) ? { service } : {};
}

/** The host name by which an instance is reached; null where its id has a dot, which names another one there. */
export function hostOf(service: string, id: string, domain: string): string | null {
  return id.includes('.') ? null : `${id}.${service}.${domain}`;
}

/** Said where there is no host name. */
export const NO_HOST = 'No address: in a host name the id would end at its dot';
