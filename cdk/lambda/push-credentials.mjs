/** APNs by token: `{signingKey, keyId, teamId, bundleId}`; FCM: the service account's JSON as Google gives it. */
export function credentialAttributes(platform, secret) {
  if (platform === 'GCM') return { PlatformCredential: secret };
  const { signingKey, keyId, teamId, bundleId } = JSON.parse(secret);
  const missing = Object.entries({ signingKey, keyId, teamId, bundleId }).filter(([, value]) => !value);
  if (missing.length > 0) throw new Error(`the secret lacks ${missing.map(([name]) => name).join(', ')}`);
  return {
    PlatformCredential: signingKey,
    PlatformPrincipal: keyId,
    ApplePlatformTeamID: teamId,
    ApplePlatformBundleID: bundleId,
  };
}
