/** Kafka can't take the record now, and it is known not to have been written: sending it again can't double it. */
export class KafkaUnavailableError extends Error {
  override name = 'KafkaUnavailableError';
  readonly code: 'overloaded' | 'unavailable' | 'stopped';
  readonly retryAfterMs: number;

  constructor(code: 'overloaded' | 'unavailable' | 'stopped', retryAfterMs: number, message: string) {
    super(message);
    this.code = code;
    this.retryAfterMs = retryAfterMs;
  }
}

/** Kafka will never take this record; it was not written. */
export class KafkaRecordError extends Error {
  override name = 'KafkaRecordError';
  readonly code: 'too_large' | 'invalid';

  constructor(code: 'too_large' | 'invalid', message: string, cause?: unknown) {
    super(message, { cause });
    this.code = code;
  }
}

/** The producer was stopped while Kafka owed an answer: the record may be in the log or not. */
export class KafkaOutcomeUnknownError extends Error {
  override name = 'KafkaOutcomeUnknownError';
}

/** The protocol's name of an error (`NOT_LEADER_FOR_PARTITION` …), found through kafkajs's wrappers; else its class. */
export function kafkaErrorType(error: unknown): string {
  let type = 'unknown';
  for (let at = error, depth = 0; at instanceof Error && depth < 5; at = at.cause, depth++) {
    const protocolType = (at as { type?: unknown }).type;
    if (typeof protocolType === 'string') return protocolType;
    type = at.name;
  }
  return type;
}
