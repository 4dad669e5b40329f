import de.bwaldvogel.mongo.MongoServer;
import de.bwaldvogel.mongo.MongoVersion;
import de.bwaldvogel.mongo.backend.memory.MemoryBackend;
import java.util.List;

/** MongoDB's protocol over memory: {@code java -cp classes:lib/* Server ADDRESS PORT}. */
public final class Server {
    /** What current drivers ask for at least; the versions the library itself offers are too old for them. */
    private record Version(List<Integer> getVersionArray, int getWireVersion) implements MongoVersion {}

    public static void main(String[] args) {
        var backend = new MemoryBackend();
        backend.version(new Version(List.of(6, 0, 0), 17));
        new MongoServer(backend).bind(args[0], Integer.parseInt(args[1]));
        System.out.println("listening");
    }
}
