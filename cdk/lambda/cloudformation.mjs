/**
 * Answers CloudFormation for a custom resource: whatever happens, it gets an answer, or the stack waits an hour for one.
 * @param event what CloudFormation asks
 * @param work returns `{ id?, data? }`; what it throws is the reason of the failure
 */
export async function answer(event, work) {
  const reply = { StackId: event.StackId, RequestId: event.RequestId, LogicalResourceId: event.LogicalResourceId };
  let body;
  try {
    const { id, data } = (await work(event)) ?? {};
    body = {
      ...reply,
      Status: 'SUCCESS',
      PhysicalResourceId: id ?? event.PhysicalResourceId ?? event.LogicalResourceId,
      Data: data,
    };
  } catch (error) {
    console.error(error);
    const reason = `${error?.name ?? 'Error'}: ${error?.message ?? error}`.slice(0, 1000);
    // A creation that failed is deleted under this id, which must then be nobody's.
    body = {
      ...reply,
      Status: 'FAILED',
      Reason: reason,
      PhysicalResourceId: event.PhysicalResourceId ?? `${event.LogicalResourceId}-failed`,
    };
  }
  const response = await fetch(event.ResponseURL, {
    method: 'PUT',
    headers: { 'content-type': '' },
    body: JSON.stringify(body),
  });
  if (!response.ok) throw new Error(`CloudFormation refused the answer: ${response.status}`);
}
