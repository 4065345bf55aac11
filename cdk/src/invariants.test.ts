import { describe, expect, test } from 'vitest';
import { STAGES } from './stages.ts';
import { type Found, flat, listOf, type Statement, synthesize } from './synthesized.ts';

const names = (found: Found[]): string[] => found.map(({ stack, id }) => `${stack}/${id}`);

describe.each(Object.values(STAGES))('$name', (stage) => {
  const synthesized = synthesize(stage);
  const { ofType, found } = synthesized;
  const property = (type: string, name: string): unknown[] =>
    ofType(type).map(({ resource }) => resource.Properties[name]);

  describe('nothing is public but the load balancer', () => {
    const ingress = [
      ...ofType('AWS::EC2::SecurityGroup').flatMap((group) =>
        listOf((group.resource.Properties.SecurityGroupIngress as object[] | undefined) ?? []).map((rule) => ({
          group,
          rule: JSON.stringify(rule),
        })),
      ),
      ...ofType('AWS::EC2::SecurityGroupIngress').map((group) => ({
        group,
        rule: JSON.stringify(group.resource.Properties),
      })),
    ];
    const openToAll = ingress.filter(({ rule }) => /0\.0\.0\.0\/0|::\/0/.test(rule));

    test('one security group is open to the world, on 443, and it is the load balancer’s', () => {
      expect(openToAll.map(({ group }) => group.id)).toEqual([expect.stringMatching(/^AlbGroup/)]);
      expect(openToAll[0]!.rule).toContain('"FromPort":443');
      expect(openToAll[0]!.rule).toContain('"ToPort":443');
      const balancers = ofType('AWS::ElasticLoadBalancingV2::LoadBalancer');
      expect(balancers.map(({ resource }) => resource.Properties.Scheme)).toEqual(['internet-facing']);
      expect(JSON.stringify(balancers[0]!.resource.Properties.SecurityGroups)).toContain('AlbGroup');
    });

    test('no other group is open to addresses at all: who may come in is named by group', () => {
      const byAddress = ingress.filter(
        ({ rule }) => rule.includes('Cidr') && !openToAll.some((open) => open.rule === rule),
      );
      expect(byAddress.map(({ rule }) => rule)).toEqual([]);
    });

    test('what a group lets in is written out: the admin port is open to nobody', () => {
      const between = ingress
        .filter(({ rule }) => !openToAll.some((open) => open.rule === rule))
        .map(({ group }) => {
          const { GroupId, SourceSecurityGroupId, FromPort, ToPort } = group.resource.Properties;
          expect(ToPort).toBe(FromPort);
          const [to, from] = [GroupId, SourceSecurityGroupId].map((id) => /(\w+)Group[0-9A-F]{8}/.exec(flat(id))![1]);
          return `${from} to ${to} on ${FromPort}`;
        });
      const services = ['Gateway', 'Messaging', 'Notification'];
      expect(between.sort()).toEqual(
        [
          'Alb to Gateway on 8080',
          ...services.flatMap((from) => [
            `${from} to Endpoints on 443`,
            `${from} to Kafka on 9098`,
            `${from} to Redis on 6380`,
          ]),
          'Topics to Endpoints on 443',
          'Topics to Kafka on 9098',
        ].sort(),
      );
    });

    test('no task has a public address and no broker a public listener', () => {
      for (const configuration of property('AWS::ECS::Service', 'NetworkConfiguration')) {
        expect(configuration).toMatchObject({ AwsvpcConfiguration: { AssignPublicIp: 'DISABLED' } });
        expect(JSON.stringify(configuration)).not.toContain('public');
      }
      for (const brokers of property('AWS::MSK::Cluster', 'BrokerNodeGroupInfo')) {
        expect(brokers).toMatchObject({ ConnectivityInfo: { PublicAccess: { Type: 'DISABLED' } } });
      }
      expect(property('AWS::EC2::Subnet', 'MapPublicIpOnLaunch').every((value) => value === false)).toBe(true);
    });

    test('only the load balancer and the NAT gateways stand in public subnets', () => {
      const inPublic = found.filter(
        ({ resource }) =>
          /publicSubnet\dSubnet/.test(JSON.stringify(resource.Properties)) &&
          !/^AWS::EC2::(Route|Subnet)/.test(resource.Type),
      );
      expect(new Set(inPublic.map(({ resource }) => resource.Type))).toEqual(
        new Set(['AWS::EC2::NatGateway', 'AWS::ElasticLoadBalancingV2::LoadBalancer']),
      );
    });

    test('every bucket blocks public access', () => {
      for (const block of property('AWS::S3::Bucket', 'PublicAccessBlockConfiguration')) {
        expect(block).toEqual({
          BlockPublicAcls: true,
          BlockPublicPolicy: true,
          IgnorePublicAcls: true,
          RestrictPublicBuckets: true,
        });
      }
    });
  });

  describe('everything is encrypted', () => {
    test('tables, by a key of ours', () => {
      const tables = property('AWS::DynamoDB::Table', 'SSESpecification');
      expect(tables.length).toBeGreaterThan(0);
      for (const encryption of tables) expect(encryption).toMatchObject({ SSEEnabled: true, SSEType: 'KMS' });
    });

    test('Valkey: at rest, in transit, and nobody without a password', () => {
      for (const { resource } of ofType('AWS::ElastiCache::ReplicationGroup')) {
        expect(resource.Properties).toMatchObject({
          AtRestEncryptionEnabled: true,
          TransitEncryptionEnabled: true,
          TransitEncryptionMode: 'required',
          MultiAZEnabled: true,
          AutomaticFailoverEnabled: true,
          UserGroupIds: [expect.anything()],
        });
      }
      const users = ofType('AWS::ElastiCache::User').map(({ resource }) => resource.Properties);
      expect(users.find(({ UserName }) => UserName === 'default')!.AccessString).toBe('off ~* -@all');
      for (const { AuthenticationMode, AccessString } of users) {
        expect(AuthenticationMode).toMatchObject({ Type: 'password' });
        expect(JSON.stringify(AuthenticationMode)).toContain('{{resolve:secretsmanager:');
        expect(AccessString).toMatch(/^off|-@admin -@dangerous/);
      }
    });

    test('Kafka: TLS alone, IAM alone, a key of ours', () => {
      for (const { resource } of ofType('AWS::MSK::Cluster')) {
        expect(resource.Properties.EncryptionInfo).toMatchObject({
          EncryptionInTransit: { ClientBroker: 'TLS', InCluster: true },
        });
        expect(resource.Properties.ClientAuthentication).toMatchObject({
          Sasl: { Iam: { Enabled: true }, Scram: { Enabled: false } },
          Unauthenticated: { Enabled: false },
        });
      }
    });

    test('clients reach the load balancer by TLS alone', () => {
      expect(property('AWS::ElasticLoadBalancingV2::Listener', 'Protocol')).toEqual(['HTTPS']);
    });

    test('logs, secrets, alarms, images and buckets', () => {
      const encrypted = {
        'AWS::Logs::LogGroup': 'KmsKeyId',
        'AWS::SecretsManager::Secret': 'KmsKeyId',
        'AWS::SNS::Topic': 'KmsMasterKeyId',
      };
      for (const [type, name] of Object.entries(encrypted)) {
        const without = ofType(type).filter(({ resource }) => resource.Properties[name] === undefined);
        expect(names(without), type).toEqual([]);
      }
      for (const configuration of property('AWS::ECR::Repository', 'EncryptionConfiguration'))
        expect(configuration).toMatchObject({ EncryptionType: 'KMS' });
      for (const encryption of property('AWS::S3::Bucket', 'BucketEncryption')) expect(encryption).toBeDefined();
      expect(property('AWS::KMS::Key', 'EnableKeyRotation').every((rotated) => rotated === true)).toBe(true);
    });
  });

  describe('rights', () => {
    const statements = ofType('AWS::IAM::Policy').flatMap(({ id, resource }) =>
      (resource.Properties.PolicyDocument as { Statement: Statement[] }).Statement.map((statement) => ({
        id,
        statement,
      })),
    );

    test('no action is a wildcard', () => {
      const wild = statements.flatMap(({ id, statement }) =>
        listOf(statement.Action)
          .filter((action) => action.includes('*'))
          .map((action) => `${id} ${action}`),
      );
      expect(wild).toEqual([]);
    });

    test('`*` as a resource is only where AWS knows no other', () => {
      const wild = statements.filter(({ statement }) => listOf(statement.Resource).includes('*'));
      const ofSession = wild.filter(({ id }) => id.startsWith('notificationRole'));
      expect(ofSession.map(({ statement }) => statement.Action)).toEqual([
        ['CreateControlChannel', 'CreateDataChannel', 'OpenControlChannel', 'OpenDataChannel'].map(
          (action) => `ssmmessages:${action}`,
        ),
      ]);
      const others = wild.filter((one) => !ofSession.includes(one));
      expect(new Set(others.flatMap(({ statement }) => listOf(statement.Action)))).toEqual(
        new Set(['ecr:GetAuthorizationToken']),
      );
    });

    test('a resource ends in `*` only where its names are not ours to give', () => {
      const open = statements.flatMap(({ statement }) =>
        listOf(statement.Resource)
          .map(flat)
          .filter((arn) => arn.includes('*') && arn !== '*'),
      );
      const allowed = [
        /:group\/.*\/(slot\.(outgoing_messages|operator_actions)\.|range\.(incoming_messages|operator_actions\.|dead_letters\.))\*$/,
        /:endpoint\/(APNS|GCM)\/restante-\w+\/\*$/,
        /:log-group:sns\/.*\/\*$/,
        /:task\/restante-\w+\/\*$/,
        // Files have random names.
        /:s3:::restante-\w+-attachments-<AWS::AccountId>-[a-z0-9-]+\/\*$/,
      ];
      expect(open.filter((arn) => !allowed.some((pattern) => pattern.test(arn)))).toEqual([]);
    });

    test('no managed policy is attached to anything', () => {
      expect(
        ofType('AWS::IAM::Role').filter(({ resource }) => resource.Properties.ManagedPolicyArns !== undefined),
      ).toEqual([]);
    });
  });

  describe('containers', () => {
    const tasks = ofType('AWS::ECS::TaskDefinition').map(({ resource }) => resource.Properties);
    const containers = tasks.flatMap(({ ContainerDefinitions }) => ContainerDefinitions as Record<string, unknown>[]);

    test('four tasks of one container each, on arm64', () => {
      expect(containers.map(({ Name }) => Name).sort()).toEqual(['gateway', 'messaging', 'notification', 'topics']);
      for (const { RuntimePlatform } of tasks)
        expect(RuntimePlatform).toEqual({ CpuArchitecture: 'ARM64', OperatingSystemFamily: 'LINUX' });
    });

    test('run as nobody, on a file system that they cannot write to', () => {
      for (const container of containers)
        expect(container).toMatchObject({ ReadonlyRootFilesystem: true, Privileged: false, User: '65532:65532' });
    });

    test('get their secrets by reference, never by value', () => {
      for (const { Name, Environment, Secrets } of containers) {
        const plain = (Environment as { Name: string }[]).map((variable) => variable.Name);
        expect(plain.filter((name) => /PASSWORD|SECRET|TOKEN/.test(name))).toEqual([]);
        const names = (Secrets as { Name: string }[] | undefined)?.map((secret) => secret.Name);
        const expected = { topics: undefined, notification: ['REDIS_PASSWORD', 'ADMIN_TOKEN'] };
        expect(names, Name as string).toEqual(
          (Name as string) in expected ? expected[Name as keyof typeof expected] : ['REDIS_PASSWORD'],
        );
      }
    });

    test('an operator reaches notification, by Session Manager, and no other', () => {
      const reached = ofType('AWS::ECS::Service').filter(({ resource }) => resource.Properties.EnableExecuteCommand);
      expect(names(reached)).toEqual([expect.stringMatching(/\/NotificationService/)]);
      const writes = containers.map(({ Name, MountPoints }) => [
        Name,
        (MountPoints as { ContainerPath: string }[]).map(({ ContainerPath }) => ContainerPath).sort(),
      ]);
      const agent = ['/managed-agents', '/var/lib/amazon/ssm', '/var/log/amazon/ssm'];
      expect(Object.fromEntries(writes)).toEqual({
        gateway: ['/data'],
        messaging: ['/data'],
        notification: ['/data', ...agent],
        topics: ['/data'],
      });
    });

    test('the token of operators is made at deployment, long and random', () => {
      const token = ofType('AWS::SecretsManager::Secret').filter(
        ({ resource }) => resource.Properties.Name === `restante/${stage.name}/admin-token`,
      );
      expect(token.map(({ resource }) => resource.Properties.GenerateSecretString)).toEqual([
        { PasswordLength: 64, ExcludePunctuation: true },
      ]);
    });

    test('a deployment that does not come up is rolled back', () => {
      const services = property('AWS::ECS::Service', 'DeploymentConfiguration');
      expect(services).toHaveLength(3);
      for (const configuration of services) {
        expect(configuration).toMatchObject({
          DeploymentCircuitBreaker: { Enable: true, Rollback: true },
          MinimumHealthyPercent: 100,
        });
      }
    });

    test('no service starts before the topics are made', () => {
      for (const { resource } of ofType('AWS::ECS::Service'))
        expect(listOf(resource.DependsOn ?? []).join(' ')).toMatch(/TopicsDone/);
    });
  });

  describe('what is kept', () => {
    test('tables can be brought back to any second', () => {
      for (const recovery of property('AWS::DynamoDB::Table', 'PointInTimeRecoverySpecification')) {
        expect(recovery).toMatchObject({ PointInTimeRecoveryEnabled: true });
      }
    });

    test('is not deleted with its stack where the stage says so', () => {
      const files = ofType('AWS::S3::Bucket').filter(({ stack }) => stack.endsWith('-attachments'));
      expect(files.length).toBe(stage.attachments ? 1 : 0);
      const kept = [...['AWS::DynamoDB::Table', 'AWS::MSK::Cluster'].flatMap(ofType), ...files];
      for (const { id, resource } of kept)
        expect(resource.DeletionPolicy, id).toBe(stage.deletionProtection ? 'Retain' : 'Delete');
      for (const value of property('AWS::DynamoDB::Table', 'DeletionProtectionEnabled'))
        expect(value).toBe(stage.deletionProtection);
      for (const { resource } of ofType('AWS::KMS::Key')) expect(resource.DeletionPolicy).toBe('Retain');
    });

    test('files of messages for as long as the stage says, taken by TLS alone', () => {
      const inStack = (type: string) => ofType(type).filter(({ stack }) => stack.endsWith('-attachments'));
      for (const { resource } of inStack('AWS::S3::Bucket')) {
        expect(resource.Properties.LifecycleConfiguration).toMatchObject({
          Rules: [{ ExpirationInDays: stage.attachments!.keptDays, Status: 'Enabled' }],
        });
        expect(JSON.stringify(inStack('AWS::S3::BucketPolicy'))).toContain('"aws:SecureTransport":"false"');
      }
    });

    test('Valkey refuses when it is full, and somebody hears of it before', () => {
      expect(property('AWS::ElastiCache::ParameterGroup', 'Properties')).toEqual([
        expect.objectContaining({ 'maxmemory-policy': 'noeviction' }),
      ]);
      const alarms = ofType('AWS::CloudWatch::Alarm').map(({ resource }) => JSON.stringify(resource.Properties));
      expect(alarms.filter((alarm) => alarm.includes('DatabaseMemoryUsagePercentage'))).toHaveLength(
        stage.redis.shards,
      );
    });

    test('the log is written three times, two of them before it is acknowledged', () => {
      const [text] = property('AWS::MSK::Configuration', 'ServerProperties').map((value) => flat(value));
      const lines = text!.split('\n');
      expect(lines).toContain('default.replication.factor=3');
      expect(lines).toContain('min.insync.replicas=2');
      expect(lines).toContain('unclean.leader.election.enable=false');
      expect(lines).toContain('auto.create.topics.enable=false');
    });
  });

  test('every alarm reaches somebody and says what to do', () => {
    const alarms = ofType('AWS::CloudWatch::Alarm').filter(({ stack }) => stack.endsWith('-watch'));
    expect(alarms.length).toBeGreaterThan(10);
    for (const { id, resource } of alarms) {
      expect(resource.Properties.AlarmActions, id).toEqual([expect.anything()]);
      expect(String(resource.Properties.AlarmDescription).split(' ').length, id).toBeGreaterThan(5);
    }
  });
});
