import { expect, test } from 'vitest';
import { judgeAnswer } from './judge-answer.ts';

const answer = (name: string, message = '', more: object = { $metadata: { httpStatusCode: 400 } }) =>
  judgeAnswer(Object.assign(new Error(message), { name }, more));

test('a denial names caller, action and resource as AWS does', () => {
  const message =
    'User: arn:aws:sts::111122223333:assumed-role/gateway/task is not authorized to perform: dynamodb:Query on resource: arn:aws:dynamodb:eu-central-1:111122223333:table/messages because no identity-based policy allows the dynamodb:Query action';
  const denied = {
    is: 'denied',
    caller: 'arn:aws:sts::111122223333:assumed-role/gateway/task',
    action: 'dynamodb:Query',
    resource: 'arn:aws:dynamodb:eu-central-1:111122223333:table/messages',
    explicitly: false,
  };
  expect(answer('AccessDeniedException', message)).toEqual(denied);
  expect(answer('AuthorizationErrorException', message)).toEqual(denied);
  expect(
    answer('TransactionCanceledException', 'Transaction cancelled', {
      CancellationReasons: [{ Code: 'None' }, { Code: 'AccessDenied', Message: message }],
    }),
  ).toEqual(denied);
  expect(answer('AccessDeniedException', 'with an explicit deny in a service control policy')).toEqual({
    is: 'denied',
    explicitly: true,
  });
});

test('credentials, silence and a table that is not there are no denials; any other answer comes after a right was found', () => {
  expect(answer('CredentialsProviderError', 'Could not load credentials', {}).is).toBe('credentials');
  expect(answer('ExpiredTokenException', 'expired').is).toBe('credentials');
  expect(answer('UnrecognizedClientException', 'invalid').is).toBe('credentials');
  expect(answer('TimeoutError', 'late', {}).is).toBe('no answer');
  expect(answer('InternalServerError', '', { $metadata: { httpStatusCode: 500 } }).is).toBe('no answer');
  expect(answer('ResourceNotFoundException').is).toBe('absent');
  expect(answer('ConditionalCheckFailedException').is).toBe('allowed');
  expect(answer('ProvisionedThroughputExceededException').is).toBe('allowed');
  expect(judgeAnswer(undefined).is).toBe('allowed');
});
