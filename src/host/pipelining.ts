import type { IncomingMessage, RequestListener, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';

/** Requests of one connection that are worked on at the same time; those that follow wait until one has been answered. */
const IN_WORK = 8;
/** Requests that may wait on one connection; one that sends more is closed. */
const MOST_WAITING = 64;

interface Pair {
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
}

interface Connection {
  readonly inWork: Set<ServerResponse>;
  readonly waiting: Pair[];
}

/**
 * Bounds what one connection can ask for at a time. HTTP/1.1 lets a client send requests without waiting for answers (RFC 9112, 9.3.2),
 * and Node gives out all that it has read: a connection that is closed at once would leave hundreds of them to be answered for nobody.
 */
export function boundedPipelining(listener: RequestListener): RequestListener {
  const connections = new WeakMap<Socket, Connection>();
  const start = ({ inWork, waiting }: Connection, { request, response }: Pair): void => {
    inWork.add(response);
    response.once('close', () => {
      inWork.delete(response);
      const next = waiting.shift();
      if (next) start({ inWork, waiting }, next);
    });
    listener(request, response as Parameters<RequestListener>[1]); // made by the server
  };
  return function bounded(request, response) {
    const { socket } = request;
    let connection = connections.get(socket);
    if (!connection) {
      connection = { inWork: new Set(), waiting: [] };
      connections.set(socket, connection);
      const { inWork, waiting } = connection;
      socket.once('close', () => {
        // Answers behind the first have no socket yet, and would not notice that nobody reads them any more.
        for (const dropped of waiting.splice(0)) dropped.response.emit('close');
        for (const left of [...inWork]) if (!left.socket) left.emit('close');
      });
    }
    if (connection.inWork.size < IN_WORK) start(connection, { request, response });
    else if (connection.waiting.length < MOST_WAITING) connection.waiting.push({ request, response });
    else socket.destroy();
  };
}
