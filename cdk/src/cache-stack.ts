import { SERVICES, type ServiceName } from '@restante/shared/runtime/permissions';
import { REDIS_ACCESS } from '@restante/shared/runtime/redis-access';
import { RemovalPolicy, Stack, type StackProps } from 'aws-cdk-lib';
import type * as ec2 from 'aws-cdk-lib/aws-ec2';
import * as elasticache from 'aws-cdk-lib/aws-elasticache';
import type * as kms from 'aws-cdk-lib/aws-kms';
import * as secretsmanager from 'aws-cdk-lib/aws-secretsmanager';
import type { Construct } from 'constructs';
import { acknowledge } from './acknowledge.ts';
import { REDIS_PORT } from './network-stack.ts';
import type { StageProps } from './stages.ts';

const ENGINE = { engine: 'valkey', engineVersion: '8.1', family: 'valkey8' };

type Props = StackProps & { stage: StageProps; vpc: ec2.IVpc; securityGroup: ec2.ISecurityGroup; key: kms.IKey };

/**
 * Valkey in cluster mode. It may lose its last second in a failover, and all of it in a disaster: inboxes are rebuilt
 * from the history (DESIGN.md, decisions 10 and 11), so there are no snapshots to restore.
 */
export class CacheStack extends Stack {
  readonly replicationGroup: elasticache.CfnReplicationGroup;
  /** A user of its own for each service, named as the service. */
  readonly passwords: Record<ServiceName, secretsmanager.Secret>;
  readonly url: string;

  constructor(scope: Construct, id: string, props: Props) {
    super(scope, id, props);
    this.passwords = {
      gateway: this.makePassword('gateway', props),
      messaging: this.makePassword('messaging', props),
      notification: this.makePassword('notification', props),
    };
    const userGroup = this.makeUserGroup(props);
    this.replicationGroup = this.makeReplicationGroup(props, userGroup);
    this.url = `rediss://${this.replicationGroup.attrConfigurationEndPointAddress}:${REDIS_PORT}`;
  }

  private makePassword(user: string, { stage, key }: Props): secretsmanager.Secret {
    const secret = new secretsmanager.Secret(this, `${user}Password`, {
      secretName: `restante/${stage.name}/redis/${user}`,
      description: `Valkey password of ${user}`,
      encryptionKey: key,
      generateSecretString: { passwordLength: 64, excludePunctuation: true },
      removalPolicy: RemovalPolicy.DESTROY,
    });
    acknowledge(secret, {
      'AwsSolutions-SMG4':
        'A user of ElastiCache may have two passwords, and tasks read theirs once at start: rotation is a rolling deployment, described in docs/deploy.md.',
    });
    return secret;
  }

  private makeUserGroup(props: Props): elasticache.CfnUserGroup {
    const users = SERVICES.map((service) => this.makeUser(service, REDIS_ACCESS, this.passwords[service], props));
    // Who sends no name is `default`, who may do nothing.
    users.push(this.makeUser('default', 'off ~* -@all', this.makePassword('default', props), props));
    const group = new elasticache.CfnUserGroup(this, 'Users', {
      engine: ENGINE.engine,
      userGroupId: `restante-${props.stage.name}`,
      userIds: users.map((user) => user.ref),
    });
    return group;
  }

  private makeUser(
    name: string,
    accessString: string,
    secret: secretsmanager.Secret,
    { stage }: Props,
  ): elasticache.CfnUser {
    return new elasticache.CfnUser(this, `${name}User`, {
      engine: ENGINE.engine,
      userId: `restante-${stage.name}-${name}`,
      userName: name,
      accessString,
      // A dynamic reference: CloudFormation reads the secret, the template does not hold it.
      authenticationMode: { Type: 'password', Passwords: [secret.secretValue.unsafeUnwrap()] },
    });
  }

  private makeReplicationGroup(props: Props, users: elasticache.CfnUserGroup): elasticache.CfnReplicationGroup {
    const parameters = new elasticache.CfnParameterGroup(this, 'Parameters', {
      cacheParameterGroupFamily: ENGINE.family,
      description: `Restante ${props.stage.name}`,
      properties: {
        'cluster-enabled': 'yes',
        // A full store must refuse, which an alarm sees, rather than drop somebody's inbox, which nobody sees.
        'maxmemory-policy': 'noeviction',
        'list-compress-depth': '1',
      },
    });
    const subnets = new elasticache.CfnSubnetGroup(this, 'Subnets', {
      description: `Restante ${props.stage.name}`,
      subnetIds: props.vpc.selectSubnets({ subnetGroupName: 'data' }).subnetIds,
    });
    const group = new elasticache.CfnReplicationGroup(this, 'Valkey', {
      replicationGroupId: `restante-${props.stage.name}`,
      replicationGroupDescription: `Restante ${props.stage.name}: inboxes, sessions, due queue`,
      engine: ENGINE.engine,
      engineVersion: ENGINE.engineVersion,
      cacheNodeType: props.stage.redis.nodeType,
      numNodeGroups: props.stage.redis.shards,
      replicasPerNodeGroup: props.stage.redis.replicasPerShard,
      cacheParameterGroupName: parameters.ref,
      cacheSubnetGroupName: subnets.ref,
      securityGroupIds: [props.securityGroup.securityGroupId],
      port: REDIS_PORT,
      multiAzEnabled: true,
      automaticFailoverEnabled: true,
      autoMinorVersionUpgrade: true,
      transitEncryptionEnabled: true,
      transitEncryptionMode: 'required',
      atRestEncryptionEnabled: true,
      kmsKeyId: props.key.keyArn,
      userGroupIds: [users.ref],
    });
    // Another number of shards is a resharding in place, not another cluster.
    group.cfnOptions.updatePolicy = { useOnlineResharding: true };
    acknowledge(group, {
      'AwsSolutions-AEC6':
        'The rule knows the one token for everybody only; each service has a user and a password of its own, and `default` is off.',
    });
    return group;
  }
}
