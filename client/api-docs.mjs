// Writes docs/client-api.md from the comments of what an app imports; with --check, says whether it is up to date.
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Application } from 'typedoc';

const here = import.meta.dirname;
const target = join(here, '..', 'docs', 'client-api.md');
/** What an app imports, by module. */
const MODULES = [
  'client',
  'client-options',
  'views',
  'outbox-edits',
  'message-state',
  'link',
  'errors',
  'environment',
  'codec',
  'e2ee/direct-codec',
  'e2ee/envelope',
  'store/store',
  'store/indexeddb-store',
  'store/sqlite-store',
  'store/memory-store',
  'token',
  'backoff',
  'ids',
];

/** One page per module, put together to one. */
export async function apiDocs() {
  const out = mkdtempSync(join(tmpdir(), 'restante-api-'));
  try {
    const app = await Application.bootstrapWithPlugins({
      entryPoints: MODULES.map((name) => join(here, 'src', `${name}.ts`)),
      // A folder of its own: by itself typedoc writes to ./docs, and empties it first.
      out,
      outputs: [{ name: 'markdown', path: out }],
      cleanOutputDir: false,
      tsconfig: join(here, 'tsconfig.check.json'),
      plugin: ['typedoc-plugin-markdown'],
      router: 'module',
      hideBreadcrumbs: true,
      hidePageHeader: true,
      disableSources: true,
      excludePrivate: true,
      excludeInternal: true,
      readme: 'none',
      parametersFormat: 'table',
      propertiesFormat: 'table',
      typeDeclarationFormat: 'table',
      logLevel: 'Error',
      skipErrorChecking: true,
    });
    const project = await app.convert();
    if (project === undefined) throw new Error('typedoc read nothing');
    await app.generateOutputs(project);
    const pages = MODULES.map((name) => readFileSync(join(out, `${name}.md`), 'utf8').trim());
    return `# The client's API\n\nMade from the sources by \`node client/api-docs.mjs\`. The guide is [client.md](client.md).\n\n${pages.map(demote).join('\n\n')}\n`;
  } finally {
    rmSync(out, { recursive: true, force: true });
  }
}

/** Headings one level down, links to other pages as plain code. */
function demote(page) {
  return page
    .replace(/^#/gm, '##')
    .replace(/\[([^\]]+)\]\((?!https?:)[^)]*\)/g, '$1')
    .replace(/^\*\*\*\n\n/gm, '');
}

const text = await apiDocs();
if (process.argv.includes('--check')) {
  if (readFileSync(target, 'utf8') !== text) {
    process.stderr.write('docs/client-api.md is not of these sources: run node client/api-docs.mjs\n');
    process.exit(1);
  }
} else writeFileSync(target, text);
