import { TOPICS } from '@restante/shared/contract/events';
import { incomingTopic, topicSpecs } from '@restante/shared/kafka/topics';
import { readSettings, SETTINGS } from '@restante/shared/runtime/settings';
import { TABLES } from '@restante/shared/runtime/tables';
import { describe, expect, test } from 'vitest';
import { readConfig as readGatewayConfig } from '../../gateway/src/config.ts';
import { metrics as gatewayMetrics } from '../../gateway/src/events.ts';
