// Who may import whom. Checked by `npm run check`, which also fails where nothing was read.
const SERVICES = '^(gateway|messaging|notification)/';

/** @type {import('dependency-cruiser').IConfiguration} */
// biome-ignore lint/style/noDefaultExport: dependency-cruiser wants one
export default {
  forbidden: [
    {
      name: 'services-share-only-shared',
      comment:
        'gateway, messaging and notification know one another by topics and keys alone, so that each can be deployed by itself',
      severity: 'error',
      from: { path: SERVICES },
      to: { path: '^(gateway|messaging|notification|client|cdk|capacity)/', pathNot: '^$1/' },
    },
    {
      name: 'services-know-no-launcher',
      comment: 'their tests may start engines of their own',
      severity: 'error',
      from: { path: SERVICES, pathNot: '[.]test[.]ts$' },
      to: { path: '^localstack/' },
    },
    {
      name: 'contract-is-pure',
      comment: 'the contract runs in browsers too: it may import the schema library and itself',
      severity: 'error',
      from: { path: '^shared/src/contract/', pathNot: '[.]test[.]ts$' },
      to: { pathNot: ['^shared/src/contract/', 'node_modules/zod/'] },
    },
    {
      name: 'shared-is-the-bottom',
      comment: 'its tests may start engines of their own',
      severity: 'error',
      from: { path: '^shared/', pathNot: '[.]test[.]ts$' },
      to: { path: '^(?!shared/|node_modules/)', dependencyTypesNot: ['core'] },
    },
    {
      name: 'nothing-imports-a-tool',
      comment: 'cli, e2e and bench are at the top',
      severity: 'error',
      from: { path: '^([^/]+)/' },
      to: { path: '^(cli|e2e|bench)/', pathNot: '^$1/' },
    },
    {
      name: 'no-cycles',
      comment: 'types may refer to one another: they are gone before anything runs',
      severity: 'error',
      from: {},
      to: { circular: true, viaOnly: { dependencyTypesNot: ['type-only'] } },
    },
    {
      name: 'resolvable',
      comment: 'what can not be found is not checked either',
      severity: 'error',
      // Lambda brings the SDK with it.
      from: { pathNot: '^cdk/lambda/' },
      to: { couldNotResolve: true },
    },
    {
      name: 'no-tests-in-production',
      severity: 'error',
      from: { pathNot: '([.]test[.]ts$|^e2e/|/testing/|-suite[.]ts$)' },
      to: { path: '[.]test[.]ts$' },
    },
  ],
  options: {
    doNotFollow: { path: 'node_modules' },
    exclude: { path: '(^|/)(dist|cdk[.]out)/' },
    tsPreCompilationDeps: true,
    tsConfig: { fileName: 'tsconfig.check.json' },
    enhancedResolveOptions: {
      exportsFields: ['exports'],
      conditionNames: ['source', 'import', 'node', 'default', 'types'],
    },
  },
};
