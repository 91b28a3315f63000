"""A chat through Debian's python3-socketio: python3 chat_client.py sync|async URL ROOM [TRANSPORT...]

Joins the room, says three things and writes "said"; then its connection is to be lost. When the library has come back it
says one thing more, and writes what it was told, as one JSON object: {"acks": [...], "messages": [...], "transport": "..."}.
"""
import asyncio
import json
import sys
import threading

import socketio

WAIT_SECONDS = 20
RECONNECTION = {'reconnection_delay': 0.05, 'reconnection_delay_max': 0.2}


class Story:
    """What happens to a client, and the auth object with which it comes back where it was."""

    def __init__(self):
        self.acks, self.messages, self.joins = [], [], 0
        self.transport = None

    def on_message(self, content, message_id, username, _info, _offset):
        self.messages.append({'content': content, 'id': message_id, 'username': username})

    def auth(self):
        last = self.messages[-1]['id'] if self.messages else 0
        return {'username': 'python', 'serverOffset': last}

    def tell(self):
        print(json.dumps({'acks': self.acks, 'messages': self.messages, 'transport': self.transport}), flush=True)


def thing(n):
    return 'chat message', (f'thing {n}', f'python-client-{n}')


def chat(url, namespace, transports):
    client, story, news = socketio.Client(**RECONNECTION), Story(), threading.Condition()

    @client.on('connect', namespace=namespace)
    def on_connect():
        with news:
            story.joins += 1
            news.notify()

    @client.on('disconnect', namespace=namespace)
    def on_disconnect(*_):
        print('lost', flush=True)

    @client.on('chat message', namespace=namespace)
    def on_message(*args):
        with news:
            story.on_message(*args)
            news.notify()

    def wait_for(condition):
        with news:
            assert news.wait_for(condition, WAIT_SECONDS), (story.joins, story.messages)

    client.connect(url, namespaces=[namespace], transports=transports, auth=story.auth)
    for n in range(3):
        story.acks.append(client.call(*thing(n), namespace=namespace))
    wait_for(lambda: len(story.messages) == 3)
    story.transport = client.transport()
    print('said', flush=True)
    wait_for(lambda: story.joins == 2)
    story.acks.append(client.call(*thing(3), namespace=namespace))
    wait_for(lambda: len(story.messages) >= 4)
    client.disconnect()
    story.tell()


async def chat_async(url, namespace, transports):
    client, story, news = socketio.AsyncClient(**RECONNECTION), Story(), asyncio.Condition()

    @client.on('connect', namespace=namespace)
    async def on_connect():
        async with news:
            story.joins += 1
            news.notify()

    @client.on('disconnect', namespace=namespace)
    async def on_disconnect(*_):
        print('lost', flush=True)

    @client.on('chat message', namespace=namespace)
    async def on_message(*args):
        async with news:
            story.on_message(*args)
            news.notify()

    async def wait_for(condition):
        async with news:
            await asyncio.wait_for(news.wait_for(condition), WAIT_SECONDS)

    await client.connect(url, namespaces=[namespace], transports=transports, auth=story.auth)
    for n in range(3):
        story.acks.append(await client.call(*thing(n), namespace=namespace))
    await wait_for(lambda: len(story.messages) == 3)
    story.transport = client.transport()
    print('said', flush=True)
    await wait_for(lambda: story.joins == 2)
    story.acks.append(await client.call(*thing(3), namespace=namespace))
    await wait_for(lambda: len(story.messages) >= 4)
    await client.disconnect()
    story.tell()


def main():
    kind, url, room, *transports = sys.argv[1:]
    if kind == 'async':
        asyncio.run(chat_async(url, '/' + room, transports or None))
    else:
        chat(url, '/' + room, transports or None)


if __name__ == '__main__':
    main()
