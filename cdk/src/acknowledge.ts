import { Validations } from 'aws-cdk-lib';
import type { IConstruct } from 'constructs';

/**
 * Says why a rule of cdk-nag does not apply to something, and all that is in it. Only here, so that one search finds every
 * exception; the tests fail on a reason of less than a sentence.
 */
export function acknowledge(construct: IConstruct, exceptions: Record<string, string>): void {
  Validations.of(construct).acknowledge(...Object.entries(exceptions).map(([id, reason]) => ({ id, reason })));
}
