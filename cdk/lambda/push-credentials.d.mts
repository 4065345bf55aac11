export function credentialAttributes(platform: string, secret: string): Record<string, string>;
