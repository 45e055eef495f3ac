// What the instance page knows of its instance: asked for at first, after each event, and every few seconds while somebody looks.
import { get, type Answer } from '../../api/client';
import { Resource } from '../../stores/resource.svelte';

export type Details = Answer<'/api/instances/{service}/{id}', 'get'> & { pid?: number | null };
export type Figures = Answer<'/api/metrics/{service}/{id}', 'get'>;

/** Milliseconds between two looks at figures that no event tells. */
export const PACE = 5000;

export class Look {
  readonly details = new Resource<Details>();
  readonly figures = new Resource<Figures>();

  constructor(
    private readonly service: string,
    private readonly id: string,
  ) {}

  refresh(): void {
    const path = { service: this.service, id: this.id };
    void this.details.renew((signal) => get('/api/instances/{service}/{id}', { path, signal }));
    void this.figures.renew((signal) => get('/api/metrics/{service}/{id}', { path, signal }));
  }

  /** Refreshes at a steady pace while the page is seen; returns what ends that. */
  keep(): () => void {
    this.refresh();
    const timer = setInterval(() => {
      if (document.visibilityState === 'visible') this.refresh();
    }, PACE);
    return () => {
      clearInterval(timer);
      this.details.cancel();
      this.figures.cancel();
    };
  }
}
