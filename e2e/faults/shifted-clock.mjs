// Preloaded into the services of a fault run (node --import): Date is off by what the file FAULT_CLOCKS says of this service, and
// jumps when that changes. Timers and performance.now() go on: so does a machine's when its clock is set.
import { readFileSync } from 'node:fs';

const { FAULT_CLOCKS: path, SERVICE_NAME: service } = process.env;
const READ_EACH_MS = 250;
const RealDate = Date;
let offMs = 0;

function read() {
  try {
    offMs = JSON.parse(readFileSync(path, 'utf8'))[service] ?? 0;
  } catch {
    // Being written: the next look reads it.
  }
}

if (path && service) {
  globalThis.Date = class extends RealDate {
    constructor(...args) {
      if (args.length === 0) super(RealDate.now() + offMs);
      else super(...args);
    }

    static now() {
      return RealDate.now() + offMs;
    }
  };
  read();
  setInterval(read, READ_EACH_MS).unref();
}
