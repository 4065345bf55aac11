export function measureBundle(source?: string): Promise<{ bytes: number; gzippedBytes: number; text: string }>;
