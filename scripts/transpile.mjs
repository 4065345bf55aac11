// The build of a package: src/**/*.ts → dist/**/*.js, one file at a time, without looking at types. Those are `npm run check`'s
// affair, which reads the sources of all packages at once; so a build takes a second, not a minute.
import { cpSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { basename, dirname, join, relative } from 'node:path';
import ts from 'typescript';

const SOURCE = 'src';
const OUTPUT = 'dist';
const { config } = ts.readConfigFile(join(import.meta.dirname, '..', 'tsconfig.base.json'), ts.sys.readFile);
const { options } = ts.convertCompilerOptionsFromJson(config.compilerOptions, '.');
// A lone file doesn't know that its package is of ES modules.
const modules = { module: ts.ModuleKind.ESNext, moduleResolution: ts.ModuleResolutionKind.Bundler };
const compilerOptions = { ...options, ...modules, declaration: false, noEmit: false };

rmSync(OUTPUT, { recursive: true, force: true });
for (const name of readdirSync(SOURCE, { recursive: true })) {
  const from = join(SOURCE, name);
  const to = join(OUTPUT, name);
  // Read at run time from beside the file that uses it.
  if (name.endsWith('.lua')) copy(from, to);
  else if (name.endsWith('.ts') && !name.endsWith('.test.ts') && !name.endsWith('.d.ts'))
    transpile(from, to.replace(/\.ts$/, '.js'));
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
        getCanonicalFileName: (f) => f,
        getNewLine: () => '\n',
      }),
    );
    process.exit(1);
  }
  mkdirSync(dirname(to), { recursive: true });
  writeFileSync(to, outputText);
  if (!sourceMapText) return;
  const map = { ...JSON.parse(sourceMapText), sources: [relative(dirname(to), from)] };
  writeFileSync(join(dirname(to), `${basename(to)}.map`), JSON.stringify(map));
}

function copy(from, to) {
  mkdirSync(dirname(to), { recursive: true });
  cpSync(from, to);
}
