// A page's state in the query of its address: what is as it is at first is left out, what is not allowed is the default.
//
//   const spec = { q: text(), sort: oneOf(['name', 'cpu'], 'name'), status: list(STATUSES), page: whole(0) };
//   readState(query, spec) ──> { q: '', sort: 'cpu', … }        writeState(state, spec) ──> 'sort=cpu'

export type Field<T> = { initial: T; read: (text: string) => T | undefined; write: (value: T) => string };
export type Spec = Record<string, Field<never>>;
export type StateOf<S> = { [K in keyof S]: S[K] extends Field<infer T> ? T : never };
// Field<T> is neither wider nor narrower than Field<unknown>; the two functions below only pass values of one field to itself.
type Loose = Record<string, Field<unknown>>;

export const text = (initial = ''): Field<string> => ({ initial, read: (t) => t, write: (v) => v });

export const flag = (initial = false): Field<boolean> => ({
  initial,
  read: (t) => (t === '1' ? true : t === '0' ? false : undefined),
  write: (v) => (v ? '1' : '0'),
});

export const whole = (initial: number): Field<number> => ({
  initial,
  read: (t) => (/^-?\d{1,15}$/.test(t) ? Number(t) : undefined),
  write: String,
});

/** A number or nothing, as the ends of a range of time in milliseconds. */
export const maybe = (): Field<number | null> => ({
  initial: null,
  read: (t) => (/^\d{1,15}$/.test(t) ? Number(t) : undefined),
  write: (v) => (v === null ? '' : String(v)),
});

export const oneOf = <T extends string>(allowed: readonly T[], initial: T): Field<T> => ({
  initial,
  read: (t) => allowed.find((one) => one === t),
  write: (v) => v,
});

/** Several, with commas; without `allowed` any. */
export const list = <T extends string = string>(allowed?: readonly T[]): Field<T[]> => ({
  initial: [],
  read: (t) => t.split(',').filter((one): one is T => one !== '' && (!allowed || allowed.includes(one as T))),
  write: (v) => v.join(','),
});

/** The state that a query says. */
export function readState<S>(query: URLSearchParams, spec: S): StateOf<S> {
  const state: Record<string, unknown> = {};
  for (const [name, field] of Object.entries(spec as Loose)) {
    const given = query.get(name);
    const value = given === null ? undefined : field.read(given);
    state[name] = value === undefined ? field.initial : value;
  }
  return state as StateOf<S>;
}

/** The query that says a state; in the order of the spec, so that the same state is the same address. */
export function writeState<S>(state: StateOf<S>, spec: S): URLSearchParams {
  const query = new URLSearchParams();
  for (const [name, field] of Object.entries(spec as Loose)) {
    const value = field.write((state as Record<string, unknown>)[name]);
    if (value !== field.write(field.initial)) query.set(name, value);
  }
  return query;
}
