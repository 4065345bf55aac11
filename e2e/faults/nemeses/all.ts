import type { Outside } from '../system.ts';
import { ENGINE_NEMESES } from './engines.ts';
import { lineNemeses } from './lines.ts';
import type { Nemesis } from './nemesis.ts';
import { SERVICE_NEMESES } from './services.ts';

const LINE_NEMESES = lineNemeses();
export const NEMESES: readonly Nemesis[] = [...SERVICE_NEMESES, ...ENGINE_NEMESES, ...LINE_NEMESES];

/** Those that need nothing but the clients' side. */
export const CLIENT_NEMESES: readonly Nemesis<Outside>[] = LINE_NEMESES.filter(({ name }) =>
  name.startsWith('clients-'),
);
