// Puts the sales that come on standard input, one JSON object a line, into the queue.
'use strict';
const readline = require('node:readline');
const { Queue } = require('bullmq');
const { QUEUE, JOB, connect } = require('./queue');

async function main() {
  const queue = new Queue(QUEUE, { connection: connect(), defaultJobOptions: JOB });
  let batch = [];
  for await (const line of readline.createInterface({ input: process.stdin })) {
    batch.push({ name: 'sale', data: JSON.parse(line) });
    if (batch.length === 1000) {
      await queue.addBulk(batch);
      batch = [];
    }
  }
  if (batch.length > 0) await queue.addBulk(batch);
  await queue.close();
  process.exit(0);
}

main();
