// Adds to package-lock.json the optional packages of other systems that npm has left out, as it does where node_modules is
// there already or where its registry lacks them: `npm ci` refuses such a file, here and on those systems. Run it after npm install.
// With --check it changes nothing, and fails where something is missing.
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fail, ROOT } from './lib/run.mjs';

const path = join(ROOT, 'package-lock.json');
const lock = JSON.parse(readFileSync(path, 'utf8'));
const added = [];
for (const [parent, entry] of Object.entries(lock.packages)) {
  for (const [name, wanted] of Object.entries(entry.optionalDependencies ?? {})) {
    const found = versionSeenFrom(parent, name);
    // Packages made for one system are pinned exactly by the one that picks among them; others, npm sees to.
    if (found === wanted || !/^\d+\.\d+\.\d+[\w.+-]*$/.test(wanted)) continue;
    const folder = found === undefined ? 'node_modules' : `${parent}/node_modules`;
    const dev = entry.dev ? { dev: true } : {};
    lock.packages[`${folder}/${name}`] = { version: wanted, ...dev, optional: true, ...systemOf(name) };
    added.push(`${name}@${wanted}`);
  }
}
if (added.length === 0) process.exit(0);
if (process.argv.includes('--check'))
  fail(`package-lock.json lacks ${added.join(', ')}\nrun: node scripts/complete-lock.mjs`);
lock.packages = Object.fromEntries(Object.entries(lock.packages).sort(([a], [b]) => a.localeCompare(b, 'en')));
writeFileSync(path, `${JSON.stringify(lock, undefined, 2)}\n`);
process.stdout.write(`added ${added.length}: ${added.join(', ')}\n`);

/** The version that Node would find from there, going up folder by folder. */
function versionSeenFrom(parent, name) {
  for (let base = parent; base !== ''; base = base.slice(0, Math.max(0, base.lastIndexOf('/node_modules/')))) {
    const nested = lock.packages[`${base}/node_modules/${name}`];
    if (nested) return nested.version;
  }
  return lock.packages[`node_modules/${name}`]?.version;
}

/** npm leaves out what is not for the system it runs on: so the entry has to say what it is for. */
function systemOf(name) {
  const find = (table) => Object.entries(table).find(([pattern]) => new RegExp(`\\b(${pattern})\\b`).test(name))?.[1];
  const os = find({
    android: 'android',
    darwin: 'darwin',
    freebsd: 'freebsd',
    linux: 'linux',
    'win32|windows': 'win32',
    openharmony: 'openharmony',
    netbsd: 'netbsd',
    openbsd: 'openbsd',
    sunos: 'sunos',
    aix: 'aix',
  });
  const cpu = find({
    'x64|64': 'x64',
    arm64: 'arm64',
    'arm|arm-eabi|arm-gnueabihf|arm-musleabihf': 'arm',
    ia32: 'ia32',
    ppc64: 'ppc64',
    riscv64: 'riscv64',
    s390x: 's390x',
    loong64: 'loong64',
    mips64el: 'mips64el',
    wasm32: 'wasm32',
  });
  const libc = find({ 'musl|musleabihf': 'musl', 'gnu|gnueabihf': 'glibc' });
  return {
    ...(os ? { os: [os] } : {}),
    ...(cpu ? { cpu: [cpu] } : {}),
    ...(libc && os === 'linux' ? { libc: [libc] } : {}),
  };
}
