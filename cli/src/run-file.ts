/** What the launcher writes when all is up (DESIGN.md, "Running it on one machine"). */
export type RunFile = {
  gateways: { name: string; pid: number; url: string; adminUrl?: string }[];
  services: { name: string; pid: number; adminUrl?: string }[];
  engines: { name: string; pid?: number; url: string; cluster?: true }[];
  jwtSecret: string | undefined;
  adminToken?: string;
};

/** @throws Error that names the field that is not as it should be: another version's file must not be half read. */
export function parseRunFile(text: string): RunFile {
  const value: unknown = JSON.parse(text);
  if (typeof value !== 'object' || value === null) throw new Error('not a JSON object');
  const fields = value as Record<string, unknown>;
  const secret = fields.jwtSecret;
  if (secret !== undefined && secret !== null && typeof secret !== 'string')
    throw new Error('jwtSecret is not a string');
  return {
    gateways: list(fields, 'gateways').map((item, i) => ({
      name: string(item, 'name', `gateways[${i}]`),
      pid: pid(item, `gateways[${i}]`),
      url: string(item, 'url', `gateways[${i}]`),
      ...adminUrl(item),
    })),
    services: list(fields, 'services').map((item, i) => ({
      name: string(item, 'name', `services[${i}]`),
      pid: pid(item, `services[${i}]`),
      ...adminUrl(item),
    })),
    engines: list(fields, 'engines').map((item, i) => ({
      name: string(item, 'name', `engines[${i}]`),
      // An engine that was there already (KAFKA_BROKERS and the like) has no process of ours.
      ...(typeof item.pid === 'number' ? { pid: item.pid } : {}),
      url: string(item, 'url', `engines[${i}]`),
      ...(item.cluster === true ? { cluster: true as const } : {}),
    })),
    jwtSecret: typeof secret === 'string' && secret !== '' ? secret : undefined,
    ...(typeof fields.adminToken === 'string' ? { adminToken: fields.adminToken } : {}),
  };
}

type Fields = Record<string, unknown>;

function list(fields: Fields, name: string): Fields[] {
  const value = fields[name];
  if (!Array.isArray(value)) throw new Error(`${name} is not an array`);
  return value.map((item, i) => {
    if (typeof item !== 'object' || item === null) throw new Error(`${name}[${i}] is not an object`);
    return item as Fields;
  });
}

function string(item: Fields, name: string, where: string): string {
  const value = item[name];
  if (typeof value !== 'string' || value === '') throw new Error(`${where}.${name} is not a string`);
  return value;
}

function pid(item: Fields, where: string): number {
  if (!Number.isSafeInteger(item.pid)) throw new Error(`${where}.pid is not an integer`);
  return item.pid as number;
}

function adminUrl(item: Fields): { adminUrl?: string } {
  return typeof item.adminUrl === 'string' ? { adminUrl: item.adminUrl } : {};
}
