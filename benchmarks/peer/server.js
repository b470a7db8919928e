// POST /sales: check the body, put one job into the queue, answer 202.
'use strict';
const cluster = require('node:cluster');
const express = require('express');
const { Queue } = require('bullmq');
const { QUEUE, JOB, connect } = require('./queue');

const PROCESSES = Number(process.env.PROCESSES || 1);

function findFault(sale) {
  if (sale === null || typeof sale !== 'object') return 'a sale is an object';
  if (typeof sale.event_id !== 'string' || sale.event_id.length !== 36) return 'event_id is a UUID';
  if (!Number.isInteger(sale.store_id) || sale.store_id < 1) return 'store_id is a whole number';
  if (!Number.isInteger(sale.product_id) || sale.product_id < 1) return 'product_id is a whole number';
  if (!Number.isInteger(sale.quantity) || sale.quantity < 1) return 'quantity is a whole number';
  if (typeof sale.occurred_at !== 'string') return 'occurred_at is a time';
  return null;
}

function serve() {
  const queue = new Queue(QUEUE, { connection: connect(), defaultJobOptions: JOB });
  const app = express();
  app.disable('x-powered-by');
  app.disable('etag');
  app.get('/health', (request, response) => response.json({ status: 'ok' }));
  app.post('/sales', express.json({ limit: '16kb' }), async (request, response) => {
    const fault = findFault(request.body);
    if (fault !== null) {
      response.status(400).json({ error: fault });
      return;
    }
    await queue.add('sale', request.body);
    response.status(202).json({ event_id: request.body.event_id, status: 'accepted' });
  });
  app.listen(Number(process.env.PORT), '127.0.0.1');
}

if (cluster.isPrimary) {
  process.stdin.resume();
  process.stdin.once('end', () => process.exit(0));
}
if (PROCESSES > 1 && cluster.isPrimary) {
  for (let n = 0; n < PROCESSES; n += 1) cluster.fork();
} else {
  serve();
}
