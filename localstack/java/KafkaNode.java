import java.io.PrintStream;
import kafka.server.KafkaConfig;
import kafka.server.KafkaRaftServer;
import org.apache.kafka.common.utils.Time;
import org.apache.kafka.common.utils.Utils;

/**
 * Arguments: the properties file, and a cluster id where the data folder is still to be formatted. Formats and runs in
 * one JVM, one start of Java instead of two, and says so when the broker takes requests.
 */
public final class KafkaNode {
  public static void main(String[] args) throws Exception {
    if (args.length > 1) {
      String[] format = {"format", "--cluster-id", args[1], "--config", args[0]};
      if (kafka.tools.StorageTool.execute(format, new PrintStream(System.out, true)) != 0) System.exit(1);
    }
    var server = new KafkaRaftServer(KafkaConfig.fromProps(Utils.loadProps(args[0])), Time.SYSTEM);
    Runtime.getRuntime().addShutdownHook(new Thread(server::shutdown, "kafka-shutdown"));
    try {
      server.startup();
    } catch (Throwable failure) {
      failure.printStackTrace();
      System.exit(1);
    }
    System.out.println("restante: ready");
    server.awaitShutdown();
  }
}
