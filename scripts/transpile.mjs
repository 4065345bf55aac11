// The build of a package: src/**/*.ts → dist/**/*.js, one file at a time, without looking at types. Those are `npm run check`'s
// affair, which reads the sources of all packages at once; so a build takes a second, not a minute.
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import ts from 'typescript';

const SOURCE = 'src';
const OUTPUT = 'dist';
const { config } = ts.readConfigFile(join(import.meta.dirname, '..', 'tsconfig.base.json'), ts.sys.readFile);
const { options } = ts.convertCompilerOptionsFromJson(config.compilerOptions, '.');
// A lone file doesn't know that its package is of ES modules.
const modules = { module: ts.ModuleKind.ESNext, moduleResolution: ts.ModuleResolutionKind.Bundler };
const compilerOptions = { ...options, ...modules, declaration: false, noEmit: false };

const made = new Set();
for (const name of readdirSync(SOURCE, { recursive: true })) {
  const from = join(SOURCE, name);
  const to = join(OUTPUT, name);
  // Read at run time from beside the file that uses it.
  if (/\.(lua|html|css|mjs)$/.test(name)) write(to, readFileSync(from));
  else if (name.endsWith('.ts') && !name.endsWith('.test.ts') && !name.endsWith('.d.ts'))
    transpile(from, to.replace(/\.ts$/, '.js'));
}
for (const entry of existsSync(OUTPUT) ? readdirSync(OUTPUT, { recursive: true, withFileTypes: true }) : []) {
  const path = join(entry.parentPath, entry.name);
  if (entry.isFile() && !made.has(path)) rmSync(path, { force: true });
}

function transpile(from, to) {
  const { outputText, sourceMapText, diagnostics } = ts.transpileModule(readFileSync(from, 'utf8'), {
    compilerOptions,
    fileName: from,
    reportDiagnostics: true,
  });
  if (diagnostics?.length) {
    process.stderr.write(
      ts.formatDiagnostics(diagnostics, {
        getCurrentDirectory: () => process.cwd(),
        getCanonicalFileName: (file) => file,
        getNewLine: () => '\n',
      }),
    );
    process.exit(1);
  }
  write(to, outputText);
  const map = { ...JSON.parse(sourceMapText), sources: [relative(dirname(to), from)] };
  write(`${to}.map`, JSON.stringify(map));
}

/** File by file, each whole at any moment: something may be running from here. */
function write(to, content) {
  made.add(to);
  mkdirSync(dirname(to), { recursive: true });
  const draft = `${to}.${process.pid}`;
  writeFileSync(draft, content);
  renameSync(draft, to);
}
