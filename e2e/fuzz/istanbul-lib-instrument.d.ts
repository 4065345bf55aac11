declare module 'istanbul-lib-instrument' {
  export function createInstrumenter(options: { esModules: boolean; coverageVariable: string; compact: boolean }): {
    instrumentSync(code: string, filename: string): string;
  };
}
