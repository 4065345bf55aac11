import { randomUUID } from 'node:crypto';
import {
  BatchGetItemCommand,
  BatchWriteItemCommand,
  DeleteItemCommand,
  type DynamoDBClient,
  ExecuteStatementCommand,
  ExecuteTransactionCommand,
  GetItemCommand,
  PutItemCommand,
  QueryCommand,
  ScanCommand,
  UpdateItemCommand,
} from '@aws-sdk/client-dynamodb';
import { PublishCommand, SetEndpointAttributesCommand, type SNSClient } from '@aws-sdk/client-sns';
import { TABLES, type TableName } from '@restante/shared/runtime/tables';

type Probe<Client> = (client: Client, resource: string) => Promise<unknown>;

/** No id of ours may have a blank: there is no item with this key, and no service will ever make one. */
const ABSENT = `restante doctor ${randomUUID()}`;
/** Asks that the item is there, which it can't be: DynamoDB looks only once the caller may write. */
const ifPresent = (table: string) => ({
  ConditionExpression: 'attribute_exists(#key)',
  ExpressionAttributeNames: { '#key': keysOf(table).partition },
});

/**
 * Tries an action on a table so that nothing can change, with a request that is valid throughout: what is not may be refused before
 * anybody asks whether the caller may.
 */
export const TABLE_PROBES: Readonly<Record<string, Probe<DynamoDBClient>>> = {
  'dynamodb:GetItem': (client, table) => client.send(new GetItemCommand({ TableName: table, Key: absentKey(table) })),
  'dynamodb:BatchGetItem': (client, table) =>
    client.send(new BatchGetItemCommand({ RequestItems: { [table]: { Keys: [absentKey(table)] } } })),
  'dynamodb:Query': (client, table) =>
    client.send(
      new QueryCommand({
        TableName: table,
        Limit: 1,
        KeyConditionExpression: '#key = :absent',
        ExpressionAttributeNames: { '#key': keysOf(table).partition },
        ExpressionAttributeValues: { ':absent': { S: ABSENT } },
      }),
    ),
  'dynamodb:Scan': (client, table) => client.send(new ScanCommand({ TableName: table, Limit: 1 })),
  'dynamodb:PutItem': (client, table) =>
    client.send(new PutItemCommand({ TableName: table, Item: absentKey(table), ...ifPresent(table) })),
  'dynamodb:UpdateItem': (client, table) =>
    client.send(new UpdateItemCommand({ TableName: table, Key: absentKey(table), ...ifPresent(table) })),
  'dynamodb:DeleteItem': (client, table) =>
    client.send(new DeleteItemCommand({ TableName: table, Key: absentKey(table), ...ifPresent(table) })),
  // It takes no condition, so it deletes, what is not there.
  'dynamodb:BatchWriteItem': (client, table) =>
    client.send(
      new BatchWriteItemCommand({ RequestItems: { [table]: [{ DeleteRequest: { Key: absentKey(table) } }] } }),
    ),
  // Unlike UpdateItem, PartiQL's UPDATE makes no item.
  'dynamodb:PartiQLUpdate': (client, table) => client.send(new ExecuteStatementCommand(updateOfAbsent(table))),
  // It takes no condition either, but it is undone with the update beside it, which must fail.
  'dynamodb:PartiQLInsert': (client, table) =>
    client.send(new ExecuteTransactionCommand({ TransactStatements: [insertOf(table), updateOfAbsent(table)] })),
};

/** On the endpoint of a device that there is not. Of an application, nothing can be tried without making an endpoint. */
export const ENDPOINT_PROBES: Readonly<Record<string, Probe<SNSClient>>> = {
  'sns:Publish': (client, endpoint) => client.send(new PublishCommand({ TargetArn: endpoint, Message: 'doctor' })),
  'sns:SetEndpointAttributes': (client, endpoint) =>
    client.send(new SetEndpointAttributesCommand({ EndpointArn: endpoint, Attributes: { Enabled: 'false' } })),
};

/** @param application as arn:aws:sns:…:app/GCM/name */
export const absentEndpoint = (application: string): string =>
  `${application.replace(':app/', ':endpoint/')}/${randomUUID()}`;

function keysOf(table: string) {
  const { partitionKey, sortKey } = TABLES[table as TableName];
  return { partition: partitionKey.name, sort: sortKey.name, sortType: sortKey.type };
}

function absentKey(table: string) {
  const { partition, sort, sortType } = keysOf(table);
  return { [partition]: { S: ABSENT }, [sort]: sortType === 'N' ? { N: '-1' } : { S: ABSENT } };
}

function updateOfAbsent(table: string) {
  const { partition, sort } = keysOf(table);
  const key = absentKey(table);
  return {
    Statement: `UPDATE "${table}" SET "doctor" = ? WHERE "${partition}" = ? AND "${sort}" = ? AND "doctor" = ?`,
    Parameters: [{ S: 'new' }, key[partition]!, key[sort]!, { S: 'old' }],
  };
}

/** Of another item than the update's: one transaction may not have two of the same. */
function insertOf(table: string) {
  const { partition, sort } = keysOf(table);
  return {
    Statement: `INSERT INTO "${table}" VALUE {'${partition}': ?, '${sort}': ?}`,
    Parameters: [{ S: `${ABSENT} inserted` }, absentKey(table)[sort]!],
  };
}
