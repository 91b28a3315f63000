import io.socket.client.Ack;
import io.socket.client.Manager;
import io.socket.client.Socket;
import io.socket.engineio.client.Transport;
import io.socket.engineio.parser.Packet;
import java.net.URI;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.Iterator;
import java.util.List;
import java.util.Map;
import java.util.function.BooleanSupplier;
import org.json.JSONArray;
import org.json.JSONObject;

/**
 * A client of the Socket.IO project's own Java library, told what to do by java.test.mjs:
 *
 * <pre>
 * java -cp '.cache/java/*' ChatClient.java chat URL TRANSPORT ROOM OTHER_ROOM TRANSPORTS...
 * java -cp '.cache/java/*' ChatClient.java echo URL TRANSPORT TRANSPORTS...
 * </pre>
 *
 * TRANSPORTS are what the library may use (its defaults when there are none), TRANSPORT is the one that it is to end up with.
 *
 * <p>chat: joins both rooms on one connection, and one that there cannot be; says three things in the first and one in the
 * other, and writes "said"; then its connection is to be lost, which it writes as "lost". When the library has come back, it
 * says one thing more in each. echo: sends text and binary, and has it sent back. Both end with what they were told, as one
 * JSON object.
 *
 * <p>The library calls back on a thread of its own; the lock of this object guards what it notes.
 */
final class ChatClient {
    private static final long WAIT_MS = 20_000;

    private final JSONObject story = new JSONObject();
    private final Manager manager;
    private String carrier; // transport that brought the newest message

    private ChatClient(String url, List<String> transports) throws Exception {
        Manager.Options options = new Manager.Options();
        options.reconnectionDelay = 50;
        options.reconnectionDelayMax = 200;
        if (!transports.isEmpty()) {
            options.transports = transports.toArray(new String[0]);
        }
        manager = new Manager(URI.create(url), options);
        manager.on(Manager.EVENT_TRANSPORT, created -> {
            Transport transport = (Transport) created[0];
            transport.on(Transport.EVENT_PACKET, packet -> {
                if (Packet.MESSAGE.equals(((Packet<?>) packet[0]).type)) {
                    note(() -> carrier = transport.name);
                }
            });
        });
    }

    public static void main(String[] args) throws Exception {
        List<String> words = Arrays.asList(args);
        boolean isChat = words.get(0).equals("chat");
        ChatClient client = new ChatClient(words.get(1), words.subList(isChat ? 5 : 3, words.size()));
        if (isChat) {
            client.chat(words.get(2), words.get(3), words.get(4));
        } else {
            client.echo(words.get(2));
        }
        client.story.put("transport", client.carrier);
        System.out.println(client.story);
        System.exit(0); // the library's threads live on
    }

    /** What happens in one room, and the auth object with which it is joined again where it was left. */
    private final class Room {
        final Map<String, String> auth = new HashMap<>();
        final JSONArray messages = new JSONArray();
        final JSONArray acks = new JSONArray();
        final String name;
        final Socket socket;
        int joins;

        Room(String name) {
            this.name = name;
            auth.put("username", "java");
            auth.put("serverOffset", "0");
            socket = namespace("/" + name, auth);
            socket.on(Socket.EVENT_CONNECT, none -> note(() -> joins++));
            socket.on(Socket.EVENT_DISCONNECT, reason -> System.out.println("lost"));
            socket.on("chat message", args -> note(() -> {
                messages.put(new JSONArray(Arrays.asList(args)));
                auth.put("serverOffset", (String) args[1]);
            }));
        }

        void say(String content) throws Exception {
            int count = acks.length();
            ask(socket, acks, "chat message", content, "java-client-" + name + "-" + count);
            await(() -> acks.length() > count, "an acknowledgement");
        }

        JSONObject story() throws Exception {
            return new JSONObject().put("messages", messages).put("acks", acks);
        }
    }

    private void chat(String transport, String name, String otherName) throws Exception {
        Room room = new Room(name);
        Room other = new Room(otherName);
        JSONArray refusals = refusalsOf("/lobby");
        for (int n = 0; n < 3; n++) {
            room.say("thing " + n);
        }
        other.say("elsewhere");
        await(() -> refusals.length() > 0, "the refusal");
        await(() -> room.messages.length() == 3 && other.messages.length() == 1, "the messages");
        arriveAt(transport, room.socket);
        System.out.println("said");
        await(() -> room.joins == 2 && other.joins == 2, "both rooms to be joined again");
        room.say("thing 3");
        other.say("elsewhere again");
        await(() -> room.messages.length() == 5 && other.messages.length() == 2, "the messages and what was missed");
        arriveAt(transport, room.socket);
        story.put("rooms", new JSONArray().put(room.story()).put(other.story())).put("refusals", refusals);
    }

    /** Asks for pages of history until the answer comes the way that the connection is to end up with. */
    private void arriveAt(String transport, Socket socket) throws Exception {
        JSONArray answers = new JSONArray();
        do {
            int count = answers.length();
            ask(socket, answers, "chat history", new JSONObject().put("limit", 1));
            await(() -> answers.length() > count, "a page of history");
        } while (!carrierIs(transport));
        JSONObject last = answers.getJSONArray(answers.length() - 1).getJSONObject(0);
        story.put("history", last);
    }

    private void echo(String transport) throws Exception {
        Map<String, String> auth = new HashMap<>();
        auth.put("token", "x");
        for (String name : new String[] {"/", "/custom"}) {
            JSONArray auths = new JSONArray();
            Socket socket = namespace(name, auth);
            socket.on("auth", args -> note(() -> auths.put(args[0])));
            await(() -> auths.length() > 0, "the auth object of " + name);
            story.append("auths", auths.getJSONObject(0));
        }
        JSONArray refusals = refusalsOf("/nowhere");
        Socket root = manager.socket("/");
        JSONArray backs = new JSONArray();
        JSONArray acks = new JSONArray();
        root.on("message-back", args -> note(() -> backs.put(plain(args))));
        byte[] large = new byte[100_000];
        Arrays.fill(large, (byte) 7);
        do {
            int count = acks.length();
            JSONObject nested = new JSONObject().put("deep", new JSONArray().put(new byte[] {3, -1}));
            root.emit("message", 1, "zwei \u00fc \ud83d\ude00", new byte[] {1, 2}, nested, large);
            ask(root, acks, "message-with-ack", 1, "zwei \u00fc \ud83d\ude00", new byte[] {1, 2}, nested, large);
            await(() -> acks.length() > count && backs.length() > count, "it to come back");
        } while (!carrierIs(transport));
        await(() -> refusals.length() > 0, "the refusal");
        story.put("backs", backs).put("acks", acks).put("refusals", refusals);
    }

    private Socket namespace(String name, Map<String, String> auth) {
        Manager.Options options = new Manager.Options();
        options.auth = auth;
        Socket socket = manager.socket(name, options);
        socket.connect();
        return socket;
    }

    /** Joins a namespace that there is not; what it is refused with comes in later. */
    private JSONArray refusalsOf(String name) {
        JSONArray refusals = new JSONArray();
        Socket socket = manager.socket(name);
        socket.on(Socket.EVENT_CONNECT_ERROR, args -> note(() -> refusals.put(args[0])));
        socket.connect();
        return refusals;
    }

    /** Emits an event; its acknowledgement comes in later. */
    private void ask(Socket socket, JSONArray answers, String event, Object... args) {
        socket.emit(event, args, (Ack) answer -> note(() -> answers.put(plain(answer))));
    }

    /** The same with bytes as {"bytes": length, "first": …}, which can be written down. */
    private static Object plain(Object value) {
        try {
            if (value instanceof byte[]) {
                byte[] bytes = (byte[]) value;
                return new JSONObject().put("bytes", bytes.length).put("first", bytes[0]).put("last", bytes[bytes.length - 1]);
            }
            if (value instanceof Object[]) {
                JSONArray array = new JSONArray();
                for (Object item : (Object[]) value) {
                    array.put(plain(item));
                }
                return array;
            }
            if (value instanceof JSONArray) {
                List<Object> items = new ArrayList<>();
                for (int i = 0; i < ((JSONArray) value).length(); i++) {
                    items.add(((JSONArray) value).get(i));
                }
                return plain(items.toArray());
            }
            if (value instanceof JSONObject) {
                JSONObject copy = new JSONObject();
                for (Iterator<?> keys = ((JSONObject) value).keys(); keys.hasNext();) {
                    String key = (String) keys.next();
                    copy.put(key, plain(((JSONObject) value).get(key)));
                }
                return copy;
            }
            return value;
        } catch (org.json.JSONException impossible) {
            throw new IllegalStateException(impossible);
        }
    }

    private synchronized boolean carrierIs(String transport) {
        return transport.equals(carrier);
    }

    private synchronized void note(Runnable change) {
        change.run();
        notifyAll();
    }

    private synchronized void await(BooleanSupplier condition, String what) throws InterruptedException {
        long deadline = System.currentTimeMillis() + WAIT_MS;
        while (!condition.getAsBoolean()) {
            long left = deadline - System.currentTimeMillis();
            if (left <= 0) {
                throw new IllegalStateException("waited in vain for " + what + "; so far " + story);
            }
            wait(left);
        }
    }
}
