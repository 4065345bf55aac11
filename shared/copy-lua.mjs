// tsc leaves the Lua scripts behind; they are read from beside the compiled file that runs them.
import { cpSync, statSync } from 'node:fs';

cpSync('src', 'dist', { recursive: true, filter: (path) => statSync(path).isDirectory() || path.endsWith('.lua') });
