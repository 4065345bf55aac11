import { GetBootstrapBrokersCommand, KafkaClient } from '@aws-sdk/client-kafka';
import { answer } from './cloudformation.mjs';

const kafka = new KafkaClient({});

/** The addresses of the brokers' IAM listener, which CloudFormation has no attribute for. */
export const handler = (event) =>
  answer(event, async () => {
    if (event.RequestType === 'Delete') return {};
    const found = await kafka.send(new GetBootstrapBrokersCommand({ ClusterArn: event.ResourceProperties.ClusterArn }));
    if (!found.BootstrapBrokerStringSaslIam) throw new Error('the cluster has no IAM listener');
    return { data: { Brokers: found.BootstrapBrokerStringSaslIam } };
  });
