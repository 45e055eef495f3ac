// What a machine can enforce, and what follows from it: for people who decide whether it is enough for their tenants.
import type { Schemas } from '../../api/client';

export type Ability = {
  name: string;
  state: 'good' | 'lesser' | 'missing';
  /** In a word or two. */
  word: string;
  /** What follows from it. */
  text: string;
};

type Enforces = Schemas['HostEnforces'];

const CGROUPS: Record<string, string> = {
  v2: 'Each instance is a control group (v2) of its own: whatever it starts belongs to it and ends with it.',
  v1: 'Each instance is in a control group of the older kind (v1): whatever it starts belongs to it, and is frozen before it is ended.',
  none: 'There are no control groups. Processes are found by their parents and an environment variable; one that hides from both can outlive its instance.',
};

export function abilities(host: Enforces): Ability[] {
  const held = host.cgroups === 'v2' ? 'good' : host.cgroups === 'v1' ? 'lesser' : 'missing';
  const has = (so: boolean): Ability['state'] => (so ? 'good' : 'lesser');
  return [
    {
      name: 'Process trees',
      state: held,
      word: host.cgroups === 'none' ? 'found by walking' : `control groups ${host.cgroups}`,
      text: CGROUPS[host.cgroups] ?? host.cgroups,
    },
    {
      name: 'Ending',
      state: has(host.ends_trees_at_once),
      word: host.ends_trees_at_once ? 'at once' : 'one after another',
      text: host.ends_trees_at_once
        ? 'The kernel ends all processes of an instance in one step: nothing can fork its way out.'
        : 'Processes are ended one after another until none is left; one that forks quickly takes longer.',
    },
    {
      name: 'Memory',
      state: has(host.counts_memory),
      word: host.counts_memory ? 'counted by the kernel' : 'added up',
      text: host.counts_memory
        ? 'Figures of memory are of the whole tree, caches of files it reads included.'
        : 'Figures are the resident sizes of all processes together: what they share counts more than once.',
    },
    {
      name: 'Processor time',
      state: has(host.counts_cpu),
      word: host.counts_cpu ? 'counted by the kernel' : 'added up',
      text: host.counts_cpu
        ? 'What processes used that have ended already is in the figures too.'
        : 'Only processes that live are counted: what short ones used is missing.',
    },
    {
      name: 'Limits',
      state: host.limits ? 'good' : 'missing',
      word: host.limits ? 'possible' : 'none',
      text: host.limits
        ? 'Memory and number of processes of an instance can be limited.'
        : 'Nothing keeps one instance from taking all memory of the machine. Give those that may to a machine of their own.',
    },
  ];
}
