/** What an answer of AWS says of the caller's right. */
export type Answer =
  | { is: 'allowed' }
  /** `action` and `resource` as AWS names them, for it may be another than was tried: of the table's key, or of a transaction. */
  | { is: 'denied'; caller?: string; action?: string; resource?: string; explicitly: boolean }
  | { is: 'credentials' | 'no answer'; message: string }
  | { is: 'absent' };

type AwsError = Error & {
  $metadata?: { httpStatusCode?: number };
  CancellationReasons?: { Code?: string; Message?: string }[];
};

const DENIED = /^(AccessDenied|AuthorizationError)(Exception)?$/;
const CREDENTIALS =
  /^(CredentialsProviderError|TokenProviderError|ExpiredToken(Exception)?|RequestExpired|UnrecognizedClientException|InvalidClientTokenId(Exception)?|InvalidAccessKeyId|(Invalid|Incomplete)Signature(Exception)?|SignatureDoesNotMatch|MissingAuthenticationToken(Exception)?)$/;

/** @param error undefined where the request succeeded; any answer that doesn't speak of rights comes after they were looked at */
export function judgeAnswer(error: unknown): Answer {
  if (error === undefined) return { is: 'allowed' };
  const { name, message, $metadata, CancellationReasons = [] } = error as AwsError;
  if (DENIED.test(name)) return denied(message);
  // A transaction may tell of each of its parts.
  const part = CancellationReasons.find(({ Code }) => DENIED.test(Code ?? ''));
  if (part) return denied(part.Message ?? message);
  if (CREDENTIALS.test(name)) return { is: 'credentials', message: `${name}: ${message}` };
  if (name === 'ResourceNotFoundException') return { is: 'absent' };
  const status = $metadata?.httpStatusCode;
  if (status === undefined || status >= 500) return { is: 'no answer', message: `${name}: ${message}` };
  return { is: 'allowed' };
}

/** AWS's message, as: User: arn… is not authorized to perform: dynamodb:Query on resource: arn… because no identity-based policy … */
function denied(message: string): Answer {
  const caller = /\bUser: (\S+)/.exec(message)?.[1];
  const action = /\bperform: ([\w-]+:\w+)/.exec(message)?.[1];
  const resource = /\bresource: (arn:\S+)/.exec(message)?.[1];
  return {
    is: 'denied',
    ...(caller && { caller }),
    ...(action && { action }),
    ...(resource && { resource }),
    explicitly: message.includes('explicit deny'),
  };
}
