// The last figures of the machine, for the small plots of the tiles.
import type { Machine } from '../api/types';

export type Figure = 'cpu' | 'memory' | 'requests' | 'errors' | 'running';

export class History {
  private readonly figures: Record<Figure, number[]> = {
    cpu: [],
    memory: [],
    requests: [],
    errors: [],
    running: [],
  };

  constructor(private readonly length: number) {}

  push(machine: Machine): void {
    this.add('cpu', machine.cpu_percent ?? 0);
    this.add('memory', machine.memory_mb ?? 0);
    this.add('requests', machine.requests_per_second);
    this.add('errors', machine.errors_per_second);
    this.add('running', machine.instances.running ?? 0);
  }

  of(figure: Figure): ArrayLike<number> {
    return this.figures[figure];
  }

  clear(): void {
    for (const values of Object.values(this.figures)) values.length = 0;
  }

  private add(figure: Figure, value: number): void {
    const values = this.figures[figure];
    values.push(value);
    if (values.length > this.length) values.shift();
  }
}
