import { describe, expect, it } from 'vitest';
import { readSettings, SETTINGS, type SettingName, SettingsError } from './settings.ts';

const names = Object.keys(SETTINGS) as SettingName[];
/** A value that the setting must refuse, where there is one. */
const BAD: Partial<Record<SettingName, string[]>> = {
  NODE_ENV: ['', 'prod'],
  LOG_LEVEL: ['', 'verbose'],
  SERVICE_NAME: [''],
  DATA_DIR: [''],
  HOST: [''],
  PORT: ['', '-1', '65536', '80.5', '0x50', '1e3', ' 80', 'http'],
  KAFKA_BROKERS: ['', ',', 'localhost', 'localhost:', 'localhost:port', 'localhost:9092,other', 'kafka://a:1'],
  KAFKA_AUTH: ['sasl'],
  REDIS_URL: ['', 'localhost:6379', 'http://localhost', '//localhost'],
  REDIS_CLUSTER: ['', 'yes', '1', 'TRUE'],
  AWS_REGION: [''],
  JWT_AUDIENCE: [''],
  REPLICATION_FACTOR: ['0', '8'],
  INCOMING_EPOCH: ['0', '8192'],
  INBOX_MAX_BYTES: ['1023', '4294967297'],
  WINDOW_BYTES: ['65535'],
  HEARTBEAT_SECONDS: ['7', '901'],
  PUSH_PROVIDER: ['apns', ''],
};

describe('readSettings', () => {
  it('has a default for every setting, and takes it', () => {
    expect(Object.keys(readSettings(names, {})).sort()).toEqual([...names].sort());
  });

  it.each(Object.entries(BAD).flatMap(([name, values]) => values.map((value): [string, string] => [name, value])))(
    'refuses %s=%j, and names both',
    (name, value) => {
      const read = () => readSettings([name as SettingName], { [name]: value });
      expect(read).toThrow(SettingsError);
      expect(read).toThrow(`bad settings: ${name}=${JSON.stringify(value)}: `);
      expect(read).toThrow(/: (must |Invalid option: expected one of )/);
    },
  );

  it.each(names.filter((name) => /^\d+$/.test(SETTINGS[name].fallback ?? '')))(
    'refuses a %s that is no number',
    (name) => {
      for (const value of ['', 'ten', '-1', '99999999999999999999']) {
        expect(() => readSettings([name], { [name]: value }), value).toThrow(
          `${name}=${JSON.stringify(value)}: must be an integer`,
        );
      }
    },
  );

  it('names every bad one at once, and no good one', () => {
    const read = () =>
      readSettings(['PORT', 'HOST', 'WINDOW_ENTRIES'], { PORT: 'x', HOST: '::1', WINDOW_ENTRIES: '0' });
    expect(read).toThrow(/^bad settings: PORT="x": .*; WINDOW_ENTRIES="0": [^;]*$/);
  });

  it('looks at what was asked for alone', () => {
    expect(readSettings(['PORT'], { PORT: '81', ADMIN_PORT: 'garbage' })).toEqual({ PORT: 81 });
  });

  it('gives values of their types', () => {
    const env = {
      REDIS_CLUSTER: 'true',
      ALLOWED_ORIGINS: ' https://a.test, ,https://b.test ',
      KAFKA_BROKERS: 'a:1,b:2',
      JWKS_URL: '',
    };
    expect(readSettings(['REDIS_CLUSTER', 'ALLOWED_ORIGINS', 'KAFKA_BROKERS', 'JWKS_URL', 'PORT'], env)).toEqual({
      REDIS_CLUSTER: true,
      ALLOWED_ORIGINS: ['https://a.test', 'https://b.test'],
      KAFKA_BROKERS: ['a:1', 'b:2'],
      JWKS_URL: undefined,
      PORT: 8080,
    });
  });

  it('marks as secret what holds one, so that it is in no message', () => {
    const secret = names.filter((name) => 'secret' in SETTINGS[name]);
    expect(secret).toEqual(expect.arrayContaining(['JWT_SECRET', 'REDIS_PASSWORD']));
    expect(names.filter((name) => /SECRET|PASSWORD|TOKEN/.test(name) && !secret.includes(name))).toEqual([]);
  });

  it('says of every setting what it is for', () => {
    for (const name of names) expect(SETTINGS[name].about.length, name).toBeGreaterThan(5);
  });
});
