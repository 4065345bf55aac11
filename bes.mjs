import { DynamoDBClient, BatchExecuteStatementCommand } from '@aws-sdk/client-dynamodb'; import fs from 'node:fs';
const E=JSON.parse(fs.readFileSync('/tmp/dev/data/env.json')); const c=new DynamoDBClient({endpoint:E.DYNAMODB_ENDPOINT,region:'us-east-1',credentials:{accessKeyId:'local',secretAccessKey:'local'},maxAttempts:1});
const run=async(n,st)=>{const s=performance.now();try{const r=await c.send(new BatchExecuteStatementCommand({Statements:st}));console.log(n,(performance.now()-s).toFixed(0),JSON.stringify(r.Responses.map(x=>x.Error?.Code??'ok')).slice(0,200))}catch(e){console.log(n,(performance.now()-s).toFixed(0),e.name,e.message)}};
const ids=n=>[...Array(n).keys()]; const R=Date.now();
const up=(i,p,w)=>({Statement:`UPDATE "cursors" SET "position"=? WHERE "user"=? AND "deviceConversation"=? AND ${w}`,Parameters:[{N:String(p)},{S:'zz'+R+i},{S:'d#c'},{N:String(p)}]});
const A='("position" IS MISSING OR "position" < ?)',B='"position" < ?';
const ins=(i,p)=>({Statement:`INSERT INTO "cursors" VALUE {'user': ?, 'deviceConversation': ?, 'position': ?}`,Parameters:[{S:'zz'+R+i},{S:'d#c'},{N:String(p)}]});
for(const n of [1,5,25]){await run('upd-absent B '+n,ids(n).map(i=>up(i,5,B)));await run('upd-absent A '+n,ids(n).map(i=>up(i,5,A)));}
for(let k=0;k<3;k++) {await run('ins 25',ids(25).map(i=>ins(i+k*25,5)));await run('ins dup 25',ids(25).map(i=>ins(i+k*25,5)));await run('A',ids(25).map(i=>up(i+k*25,6,A)));await run('B',ids(25).map(i=>up(i+k*25,7,B)));await run('A behind',ids(25).map(i=>up(i+k*25,2,A)))}
await Promise.all([0,1,2].map(k=>run('par A',ids(25).map(i=>up(i+k*25,16,A)))));
