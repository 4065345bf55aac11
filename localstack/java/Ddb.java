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
   */
  private static void writeAhead(Object local) throws ReflectiveOperationException {
    Object requests = field(field(local, "serverHandler"), "primaryHandler");
    var open = requests.getClass().getDeclaredMethod("getHandler", String.class);
    open.setAccessible(true);
    var queue = (SQLiteQueue) field(field(open.invoke(requests, "shared"), "dbAccess"), "queue");
    queue.execute(new SQLiteJob<Void>() {
      @Override
      protected Void job(SQLiteConnection connection) throws SQLiteException {
        connection.exec("PRAGMA journal_mode = WAL");
        connection.exec("PRAGMA synchronous = NORMAL");
        return null;
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
