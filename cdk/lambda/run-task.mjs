import { DescribeTasksCommand, ECSClient, RunTaskCommand } from '@aws-sdk/client-ecs';
import { answer } from './cloudformation.mjs';

const ecs = new ECSClient({});
const POLL_MS = 5_000;

/** Runs a task to its end, on creation and whenever its definition changed, and fails the deployment where it fails. */
export const handler = (event) =>
  answer(event, async () => {
    const { Cluster, TaskDefinition, Subnets, SecurityGroups, DeadlineSeconds } = event.ResourceProperties;
    // What the task made holds data: deleting it is an operator's decision.
    if (event.RequestType === 'Delete') return {};
    const started = await ecs.send(
      new RunTaskCommand({
        cluster: Cluster,
        taskDefinition: TaskDefinition,
        launchType: 'FARGATE',
        // A repeated call by a retry of this function must not run it twice.
        clientToken: event.RequestId,
        networkConfiguration: {
          awsvpcConfiguration: { subnets: Subnets, securityGroups: SecurityGroups, assignPublicIp: 'DISABLED' },
        },
      }),
    );
    const task = started.tasks?.[0]?.taskArn;
    if (!task) throw new Error(`the task did not start: ${JSON.stringify(started.failures)}`);
    await untilDone(Cluster, task, Number(DeadlineSeconds) * 1000);
    return {};
  });

async function untilDone(cluster, taskArn, deadlineMs) {
  const end = Date.now() + deadlineMs;
  while (Date.now() < end) {
    const described = await ecs.send(new DescribeTasksCommand({ cluster, tasks: [taskArn] }));
    const task = described.tasks?.[0];
    if (task?.lastStatus === 'STOPPED') {
      const failed = task.containers?.find((container) => container.exitCode !== 0);
      if (!failed) return;
      throw new Error(
        `${taskArn} failed: ${failed.reason ?? task.stoppedReason ?? ''} (exit code ${failed.exitCode}); its log says why`,
      );
    }
    await new Promise((resolve) => setTimeout(resolve, POLL_MS));
  }
  throw new Error(`${taskArn} did not end in ${deadlineMs / 1000} s`);
}
