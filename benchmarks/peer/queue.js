// What server, worker and fill share: the queue's name, its connections, the options of a job.
'use strict';
const Redis = require('ioredis');

const QUEUE = 'sales';
// Finished jobs are forgotten: a queue that keeps them grows for ever.
const JOB = { removeOnComplete: true, removeOnFail: 1000, attempts: 3 };

function connect() {
  // BullMQ's workers need null here; commands of one turn of the event loop go out together.
  return new Redis(process.env.REDIS_URL, { maxRetriesPerRequest: null, enableAutoPipelining: true });
}

module.exports = { QUEUE, JOB, connect };
