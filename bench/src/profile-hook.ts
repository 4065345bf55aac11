import { mkdirSync, writeFileSync } from 'node:fs';
import { Session } from 'node:inspector';
import { join } from 'node:path';

/** Loaded into a service by `--import`: NODE_OPTIONS does not take --cpu-prof. Writes the CPU profile when the process ends. */
const SAMPLE_MICROS = 500;
const folder = process.env.BENCH_PROFILE_DIR;
// Only services have a name: the launcher's own time is of no interest.
const name = process.env.SERVICE_NAME;
if (folder !== undefined && name !== undefined) {
  const session = new Session();
  session.connect();
  session.post('Profiler.enable');
  session.post('Profiler.setSamplingInterval', { interval: SAMPLE_MICROS });
  session.post('Profiler.start');
  process.on('exit', () => {
    session.post('Profiler.stop', (error, result) => {
      if (error !== null) return;
      mkdirSync(folder, { recursive: true });
      writeFileSync(join(folder, `${name}-${process.pid}.cpuprofile`), JSON.stringify(result.profile));
    });
  });
}
