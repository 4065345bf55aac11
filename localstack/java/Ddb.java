import com.almworks.sqlite4java.SQLiteConnection;
import com.almworks.sqlite4java.SQLiteException;
import com.almworks.sqlite4java.SQLiteJob;
import com.almworks.sqlite4java.SQLiteQueue;
import org.eclipse.jetty.server.Connector;
import org.eclipse.jetty.server.Server;
import org.eclipse.jetty.server.ServerConnector;
import software.amazon.dynamodb.services.local.main.ServerRunner;

/** DynamoDB Local on 127.0.0.1 alone, and quick with its data on disk: it has an option for neither. */
public final class Ddb {
  /** A log of so long costs a checkpoint of some 50 ms at full load, and is searched in no time. */
  private static final long CHECKPOINT_MS = 2_000;

  public static void main(String[] args) throws Exception {
    var local = ServerRunner.createServerFromCommandLineArgs(args);
    for (Connector connector : ((Server) field(local, "server")).getConnectors()) ((ServerConnector) connector).setHost("127.0.0.1");
    try {
      writeAhead(local);
    } catch (ReflectiveOperationException changed) {
      System.err.println("DynamoDB Local has changed inside, it will be slow: " + changed);
    }
    local.start();
    System.out.println("restante: ready");
    local.join();
  }

  /**
   * SQLite's default waits for the disk several times a write: 1,000 items/s in batches here, 4,000 with a write-ahead log. What
   * is written outlives this process either way; only a power cut can take the last writes, never break the file.
   * No other process opens the file, so jobs need not lock it, nor share the log's index. What a statement needs to undo itself within
   * its transaction is kept in memory: a file was made for each item, and deleted. The log, which is what outlives a kill, is as before.
   */
  private static void writeAhead(Object local) throws ReflectiveOperationException {
    Object requests = field(field(local, "serverHandler"), "primaryHandler");
    var open = requests.getClass().getDeclaredMethod("getHandler", String.class);
    open.setAccessible(true);
    var queue = (SQLiteQueue) field(field(open.invoke(requests, "shared"), "dbAccess"), "queue");
    run(queue, "PRAGMA locking_mode = EXCLUSIVE", "PRAGMA temp_store = MEMORY");
    run(queue, "PRAGMA journal_mode = WAL", "PRAGMA synchronous = NORMAL");
    var checkpoints = new Thread(() -> checkpoint(queue), "checkpoints");
    checkpoints.setDaemon(true);
    checkpoints.start();
  }

  /**
   * SQLite's own checkpoint comes with a commit, finds DynamoDB Local's statements open, and gives up each time: the log grew by 8 KB an
   * item, to 3 GB in five minutes of load, and a third of the time went into looking for pages in it. Between two jobs nothing is open.
   */
  private static void checkpoint(SQLiteQueue queue) {
    try {
      while (true) {
        Thread.sleep(CHECKPOINT_MS);
        run(queue, "PRAGMA wal_checkpoint(PASSIVE)");
      }
    } catch (InterruptedException ended) {
      Thread.currentThread().interrupt();
    }
  }

  /** Runs the statements between two jobs of DynamoDB Local's; one that fails is told, and left out. */
  private static void run(SQLiteQueue queue, String... statements) {
    queue.execute(new SQLiteJob<Void>() {
      @Override
      protected Void job(SQLiteConnection connection) throws SQLiteException {
        for (String statement : statements) connection.exec(statement);
        return null;
      }

      @Override
      protected void jobError(Throwable error) {
        System.err.println(String.join("; ", statements) + ": " + error);
      }
    }).complete();
  }

  private static Object field(Object object, String name) throws ReflectiveOperationException {
    for (Class<?> type = object.getClass(); type != null; type = type.getSuperclass()) {
      for (var field : type.getDeclaredFields()) {
        if (!field.getName().equals(name)) continue;
        field.setAccessible(true);
        return field.get(object);
      }
    }
    throw new NoSuchFieldException(object.getClass().getName() + "." + name);
  }
}
