import { Gauge } from 'prom-client';

/** What a consumer has still to make durable of each partition that it owns, asked when somebody asks. */
export function registerLagGauge(service: string, lag: () => ReadonlyMap<number, number>): void {
  new Gauge({
    name: `restante_${service}_lag_records`,
    help: 'records of each assigned partition that are not durable yet',
    labelNames: ['partition'],
    collect() {
      // A partition that went to another member is that one's to report.
      this.reset();
      for (const [partition, records] of lag()) this.set({ partition }, records);
    },
  });
}
