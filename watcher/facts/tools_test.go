package facts

import (
	"slices"
	"strings"
	"testing"
)

// A toolLine is a command line. The tool must be recognised by it.
type toolLine struct {
	tool string
	line string // arguments are separated by bars if there is one, else by spaces
	exe  string // the program if it is not the first argument
}

// nodeLine is the command line of a tool that npm installed in a project.
func nodeLine(tool, line string) toolLine {
	return toolLine{tool, "node /home/ann/shop/node_modules/.bin/" + line, "/usr/bin/node"}
}

// seenLines are the command lines of real processes. Only the home directory is changed.
var seenLines = []toolLine{
	nodeLine("Vite", "vite --port 5199"),
	{"Vite", "npm exec vite --port 5198|", "/usr/bin/node"},
	{"Vite", "sh|-c|'vite' --port 5198", "/usr/bin/dash"},
	{"Vite", "sh|-c|vite --port 5199", "/usr/bin/dash"},
	nodeLine("Next.js", "next dev -p 3199"),
	{"Next.js", "next-server (v15.5.29)|", "/usr/bin/node"},
	{"http-server", "http-server", "/usr/bin/node"},
	nodeLine("serve", "serve -l 8198"),
	nodeLine("Wrangler", "wrangler dev w.js --compatibility-date 2024-01-01 --port 8787"),
	{"Wrangler",
		"/usr/bin/node --no-warnings --experimental-vm-modules /home/ann/shop/node_modules/wrangler/wrangler-dist/cli.js dev w.js " +
			"--compatibility-date 2024-01-01 --port 8787", "/usr/bin/node"},
	{"workerd", "/home/ann/shop/node_modules/@cloudflare/workerd-linux-64/bin/workerd serve --binary --experimental " +
		"--socket-addr=entry=localhost:8787 --external-addr=loopback=127.0.0.1:38633 --control-fd=3 -", ""},
	{"esbuild",
		"/home/ann/shop/node_modules/wrangler/node_modules/@esbuild/linux-x64/bin/esbuild --service=0.27.3 --ping", ""},
	{"webpack", "webpack", "/usr/bin/node"},
	{"webpack", "npm exec webpack serve --port 8188|", "/usr/bin/node"},
	nodeLine("Eleventy", "eleventy --serve --port=8187 --input=src"),
	nodeLine("json-server", "json-server db.json"),
	nodeLine("Parcel", "parcel index.html -p 1299"),
	{"Flask", "/usr/bin/python3 -m flask --app app run -p 5055", "/usr/bin/python3.11"},
	{"Flask", "/usr/bin/python3 /home/ann/venv/bin/flask --app app --debug run -p 5056", "/usr/bin/python3.11"},
	{"Uvicorn", "/usr/bin/python3 /home/ann/venv/bin/uvicorn asgi:app --port 8055", "/usr/bin/python3.11"},
	{"Uvicorn", "/usr/bin/python3 -m uvicorn asgi:app --reload --port 8056", "/usr/bin/python3.11"},
	{"Gunicorn", "gunicorn: master [app:app]|", "/usr/bin/python3.11"},
	{"Gunicorn", "gunicorn: worker [app:app]|", "/usr/bin/python3.11"},
	{"Django", "/usr/bin/python3 manage.py runserver 8058", "/usr/bin/python3.11"},
	{"Python http.server", "python3 -m http.server 8059 --bind 127.0.0.1", "/usr/bin/python3.11"},
	{"PHP", "php -S 127.0.0.1:8060 -t php", "/usr/bin/php8.2"},
	{"Redis", "redis-server *:6399|", "/usr/bin/redis-check-rdb"}, // Debian has one file for all of Redis
	{"Redis", "redis-server 127.0.0.1:6398|", "/usr/bin/redis-check-rdb"},
	{"nginx", "nginx: master process nginx -p /home/ann/ng -c n.conf -e err.log|", "/usr/sbin/nginx"},
	{"nginx", "nginx: worker process|", "/usr/sbin/nginx"},
	{"PostgreSQL", "/usr/lib/postgresql/15/bin/postgres -D /home/ann/pg -k /tmp -p 5499", ""},
	{"PostgreSQL", "postgres: autovacuum launcher |", "/usr/lib/postgresql/15/bin/postgres"},
	{"Go", "go run .", "/usr/local/go/bin/go"},
	{"Spring Boot", "java -cp .:/x/spring-boot-3.2.0.jar Main", "/usr/lib/jvm/java-17-openjdk-amd64/bin/java"},
}

// documentedLines are commands from the tools' documentation, in the form that a shell or a launcher above passes on.
// No real process was started for them.
var documentedLines = []toolLine{
	{"Vite", `node C:\shop\node_modules\vite\bin\vite.js`, `C:\Program Files\nodejs\node.exe`},
	{"Vite", "node /home/ann/shop/node_modules/.pnpm/vite@5.4.0/node_modules/vite/bin/vite.js --host", "/usr/bin/node"},
	{"Vite", "npx vite@latest", ""}, {"Vite", "pnpm dlx vite", ""}, {"Vite", "pnpm exec vite", ""},
	{"Vite", "yarn vite", ""},
	{"Vite", "bunx vite", ""}, {"Vite", "bun --bun run vite", ""}, {"Vite", "deno run -A npm:vite", ""},
	{"Vite", "npm exec -- vite --port 3000", ""}, {"Vite", "npx|-p|vite|-c|vite --port 3000", ""},
	{"Vite", "cross-env NODE_ENV=development vite", ""}, {"Vite", "dotenv -e .env.local -- vite", ""},
	{"Vite", `C:\WINDOWS\system32\cmd.exe /d /s /c vite --port 3000`, `C:\WINDOWS\system32\cmd.exe`},
	nodeLine("Nuxt", "nuxt dev"), nodeLine("Nuxt", "nuxi dev"),
	nodeLine("Astro", "astro dev"),
	nodeLine("SvelteKit", "svelte-kit dev"),
	nodeLine("Remix", "remix vite:dev"), nodeLine("Remix", "remix-serve ./build/server/index.js"),
	nodeLine("React Router", "react-router dev"),
	nodeLine("React Router", "react-router-serve ./build/server/index.js"),
	nodeLine("Angular", "ng serve --open"), {"Angular", "ng serve --port 4201|", "/usr/bin/node"},
	{"Angular", `node C:\shop\node_modules\@angular\cli\bin\ng.js serve`, ""},
	{"Angular", "npx @angular/cli@17 serve", ""},
	nodeLine("Vue CLI", "vue-cli-service serve"),
	nodeLine("webpack", "webpack-dev-server --mode development"), nodeLine("webpack", "webpack serve"),
	nodeLine("Rspack", "rspack serve"),
	nodeLine("Rsbuild", "rsbuild dev --open"),
	nodeLine("Storybook", "storybook dev -p 6006"),
	{"Storybook", `node C:\shop\node_modules\storybook\bin\index.cjs dev -p 6006`, ""},
	nodeLine("React Scripts", "react-scripts start"),
	{"React Scripts", "/usr/bin/node /home/ann/shop/node_modules/react-scripts/scripts/start.js", ""},
	nodeLine("CRACO", "craco start"),
	nodeLine("Gatsby", "gatsby develop"),
	nodeLine("Docusaurus", "docusaurus start"),
	nodeLine("VitePress", "vitepress dev docs"),
	nodeLine("VuePress", "vuepress dev docs"),
	nodeLine("Expo", "expo start"),
	nodeLine("Metro", "react-native start"),
	nodeLine("Ember", "ember serve"),
	nodeLine("Vinxi", "vinxi dev"),
	nodeLine("BrowserSync", "browser-sync start --server"),
	nodeLine("live-server", "live-server --port=8080"),
	nodeLine("Prisma Studio", "prisma studio"),
	nodeLine("Strapi", "strapi develop"),
	{"Node-RED", "node /usr/bin/node-red", ""},
	{"Verdaccio", "node /usr/local/bin/verdaccio --listen 4873", ""},
	nodeLine("Netlify", "netlify dev"),
	nodeLine("Vercel", "vercel dev"),
	{"Firebase", "node /usr/local/bin/firebase emulators:start --only firestore", ""},
	nodeLine("NestJS", "nest start --watch"),
	{"Nx", "node /home/ann/shop/node_modules/.bin/nx serve shop", ""},
	{"Turborepo", "/home/ann/shop/node_modules/turbo-linux-64/bin/turbo run dev", ""},
	{"Deno", "deno run --allow-net server.ts", ""}, {"Deno", "deno task dev", ""}, {"Deno", "deno serve main.ts", ""},
	{"Bun", "bun run server.ts", ""}, {"Bun", "bun --hot server.ts", ""}, {"Bun", "bun run serve", ""},
	{"esbuild", "/home/ann/shop/node_modules/@esbuild/linux-x64/bin/esbuild app.js --bundle --servedir=www", ""},

	{"Django", "python manage.py runserver", ""}, {"Django", "python -m django runserver", ""},
	{"Django", "/home/ann/venv/bin/python /home/ann/venv/bin/django-admin runserver --settings shop.settings", ""},
	{"Django", "poetry run python manage.py runserver 0:8000", ""},
	{"Django", "python3.12 -u ./manage.py runserver --noreload", ""},
	{"Flask", "uv run flask --app hello run", ""}, {"Flask", "pipenv run flask run --port 5001", ""},
	{"Flask", "python -X dev -um flask run", ""},
	{"Flask",
		"/home/ann/venv/bin/python /home/ann/.vscode/extensions/ms-python.debugpy/bundled/libs/debugpy/launcher/../../debugpy " +
			"--connect 127.0.0.1:45931 --configure-qt none --adapter-access-token 123 -m flask run --no-debugger", ""},
	{"FastAPI", "/home/ann/venv/bin/python /home/ann/venv/bin/fastapi dev main.py", ""},
	{"FastAPI", "uv run fastapi run", ""},
	{"Uvicorn", "uvx uvicorn main:app", ""}, {"Uvicorn", "hatch run uvicorn main:app", ""},
	{"Uvicorn", `C:\venv\Scripts\python.exe C:\venv\Scripts\uvicorn.exe main:app`, `C:\Python312\python.exe`},
	{"Gunicorn", "/home/ann/venv/bin/python /home/ann/venv/bin/gunicorn -w 4 app:app", ""},
	{"Hypercorn", "python -m hypercorn hello_world:app", ""},
	{"Daphne", "/usr/bin/python3 /usr/bin/daphne -p 8001 shop.asgi:application", ""},
	{"Granian", "/venv/bin/python /venv/bin/granian --interface asgi main:app", ""},
	{"Waitress", "/venv/bin/python /venv/bin/waitress-serve --listen=*:8041 wsgi:app", ""},
	{"uWSGI", "uwsgi --http :8000 --wsgi-file app.py", ""},
	{"Flower", "/venv/bin/python /venv/bin/celery -A proj flower", ""},
	{"Flower", "celery --broker=amqp://localhost// flower|", "/usr/bin/python3.11"},
	{"Celery", "/venv/bin/python /venv/bin/celery -A proj worker --loglevel=INFO", ""},
	{"Celery", "[celeryd: celery@host:MainProcess] -active- (-A proj worker)|", "/usr/bin/python3.11"},
	{"Jupyter", "/venv/bin/python /venv/bin/jupyter-lab --no-browser", ""},
	{"Jupyter", "/venv/bin/python /venv/bin/jupyter notebook", ""},
	{"Jupyter", "/venv/bin/python -m ipykernel_launcher -f /home/ann/.local/share/jupyter/runtime/kernel-1.json", ""},
	{"Jupyter", "uvx --from jupyterlab jupyter lab", ""},
	{"Streamlit", "/venv/bin/python /venv/bin/streamlit run app.py", ""},
	{"Streamlit", "python -m streamlit run app.py", ""},
	{"Gradio", "/venv/bin/python /venv/bin/gradio app.py", ""},
	{"MkDocs", "/venv/bin/python /venv/bin/mkdocs serve", ""},
	{"Sphinx", "/venv/bin/python /venv/bin/sphinx-autobuild docs docs/_build/html", ""},
	{"Bokeh", "/venv/bin/python /venv/bin/bokeh serve --show myapp.py", ""},
	{"Airflow", "/venv/bin/python /venv/bin/airflow standalone", ""},
	{"MLflow", "/venv/bin/python /venv/bin/mlflow ui", ""},
	{"TensorBoard", "/venv/bin/python /venv/bin/tensorboard --logdir logs", ""},
	{"Locust", "/venv/bin/python /venv/bin/locust -f locustfile.py", ""},
	{"vLLM", "/venv/bin/python /venv/bin/vllm serve Qwen/Qwen2.5-1.5B-Instruct", ""},
	{"LocalStack", "python -m localstack.runtime.main", ""},
	{"debugpy",
		"/venv/bin/python /venv/lib/python3.12/site-packages/debugpy/adapter --for-server 45231 --host 127.0.0.1 --port 5678 " +
			"--server-access-token 5f", ""},

	{"Rails", "ruby bin/rails server -p 3001", ""}, {"Rails", "bundle exec rails s", ""},
	{"Rails", "/usr/bin/ruby3.1 /usr/local/bin/bundle exec rails server", "/usr/bin/ruby3.1"},
	{"Puma", "puma 6.4.0 (tcp://localhost:3000) [shop]|", "/usr/bin/ruby3.1"},
	{"Puma", "puma: cluster worker 0: 4711 [shop]|", "/usr/bin/ruby3.1"}, {"Puma", "ruby -S puma -p 9292", ""},
	{"Unicorn", "unicorn master -c config/unicorn.rb|", "/usr/bin/ruby3.1"},
	{"Thin", "/usr/bin/ruby /var/lib/gems/3.1.0/gems/thin-1.8.1/bin/thin start", ""},
	{"Falcon", "ruby /usr/local/bin/falcon serve", ""},
	{"Rack", "ruby /usr/local/bin/rackup config.ru", ""},
	{"Jekyll", "/usr/bin/ruby /usr/bin/jekyll serve --livereload", ""}, {"Jekyll", "bundle exec jekyll serve", ""},
	{"Middleman", "bundle exec middleman server", ""},
	{"Laravel", "php artisan serve --port=8080", "/usr/bin/php8.2"},
	{"Laravel", "/usr/bin/php8.2 /home/ann/shop/artisan serve", ""},
	{"Symfony", "/usr/local/bin/symfony server:start", ""},
	{"PHP", "php -d display_errors=1 -S localhost:8000 router.php", ""},
	{"PHP-FPM", "php-fpm: master process (/etc/php/8.2/fpm/php-fpm.conf)|", "/usr/sbin/php-fpm8.2"},
	{"PHP-FPM", "php-fpm: pool www|", "/usr/sbin/php-fpm8.2"},
	{"FrankenPHP", "frankenphp php-server --root public", ""},
	{"Phoenix",
		"/usr/lib/erlang/erts-14.2/bin/beam.smp -- -root /usr/lib/erlang -progname erl -- -home /home/ann -- -noshell " +
			"-elixir_root /usr/lib/elixir -s elixir start_cli -extra /usr/bin/mix phx.server", ""},

	{"plackup", "/usr/bin/perl /usr/bin/plackup -p 5000 app.psgi", "/usr/bin/perl"},
	{"Starman", "starman master --port 5000 app.psgi|", "/usr/bin/perl"},
	{"Hypnotoad", "/usr/bin/hypnotoad app.pl|", "/usr/bin/perl"},
	{"morbo", "/usr/bin/perl /usr/bin/morbo app.pl", "/usr/bin/perl"},
	{"Passenger", "Passenger core|", "/usr/lib/passenger/PassengerAgent"},

	{"Spring Boot", "java org.springframework.boot.loader.launch.JarLauncher", ""},
	{"Spring Boot",
		`java.exe -XX:TieredStopAtLevel=1 -cp C:\shop\target\classes;C:\m2\spring-boot-3.3.1.jar com.shop.Application`,
		""},
	{"Quarkus", "java -jar target/quarkus-app/quarkus-run.jar", ""},
	{"Micronaut", "java -classpath /home/ann/shop/build/classes:/m2/micronaut-http-server-4.5.0.jar shop.Application",
		""},
	{"Ktor", "java -cp build/classes:/m2/ktor-server-core-jvm-2.3.12.jar com.example.ApplicationKt", ""},
	{"Tomcat", "/usr/bin/java -Djava.util.logging.config.file=/opt/tomcat/conf/logging.properties " +
		"-classpath /opt/tomcat/bin/bootstrap.jar:/opt/tomcat/bin/tomcat-juli.jar org.apache.catalina.startup.Bootstrap start", ""},
	{"Jetty", "java -cp /opt/jetty/start.jar org.eclipse.jetty.start.Main", ""},
	{"WildFly",
		"java -Xms64m -jar /opt/wildfly/jboss-modules.jar -mp /opt/wildfly/modules org.jboss.as.standalone -Djboss.home.dir=/opt/wildfly", ""},
	{"Play", "java -Duser.dir=/srv/shop -cp /srv/shop/lib/shop.jar play.core.server.ProdServerStart", ""},
	{"Jenkins", "/usr/bin/java -Djava.awt.headless=true -jar /usr/share/java/jenkins.war --httpPort=8080", ""},
	{"Keycloak",
		"java -Dkc.home.dir=/opt/keycloak -cp /opt/keycloak/lib/quarkus-run-main.jar org.keycloak.quarkus.runtime.KeycloakMain start-dev", ""},
	{"sbt", "java -Xmx1g -jar /usr/share/sbt/bin/sbt-launch.jar run", ""},
	{"Gradle",
		"java -cp /home/ann/.gradle/wrapper/gradle-launcher-8.5.jar org.gradle.launcher.daemon.bootstrap.GradleDaemon 8.5", ""},
	{"Gradle",
		"java -Xmx64m -classpath /home/ann/shop/gradle/wrapper/gradle-wrapper.jar org.gradle.wrapper.GradleWrapperMain bootRun", ""},
	{"Maven",
		"/usr/bin/java -classpath /usr/share/maven/boot/plexus-classworlds-2.x.jar -Dmaven.home=/usr/share/maven " +
			"org.codehaus.plexus.classworlds.launcher.Launcher spring-boot:run", ""},
	{"Jetty",
		"java -classpath /usr/share/maven/boot/plexus-classworlds-2.x.jar org.codehaus.plexus.classworlds.launcher.Launcher -q jetty:run", ""},
	{".NET", "dotnet watch run", ""}, {".NET", "dotnet run --project Shop", ""},

	{"Go", "go run -race ./cmd/shop", ""},
	{"Air", "air -c .air.toml", ""},
	{"Delve", "dlv dap --listen=127.0.0.1:38697", ""},
	{"Cargo", "cargo run --release", ""}, {"Cargo", "/home/ann/.cargo/bin/cargo-watch watch -x run", ""},
	{"bacon", "bacon run", ""},
	{"Trunk", "trunk serve", ""},
	{"Hugo", "hugo server -D", ""},
	{"Zola", "zola serve", ""},
	{"mdBook", "mdbook serve --open", ""},

	{"Caddy", "/usr/bin/caddy run --environ --config /etc/caddy/Caddyfile", ""},
	{"Caddy", "caddy file-server --listen :2015", ""},
	{"nginx", "sudo /usr/sbin/nginx", ""},
	{"Apache", "/usr/sbin/apache2 -k start", ""}, {"Apache", "/usr/sbin/httpd -D FOREGROUND", ""},
	{"Traefik", "traefik --configFile=traefik.yml", ""},
	{"HAProxy", "/usr/sbin/haproxy -Ws -f /etc/haproxy/haproxy.cfg -p /run/haproxy.pid", ""},
	{"Envoy", "envoy -c envoy.yaml", ""},
	{"lighttpd", "/usr/sbin/lighttpd -D -f /etc/lighttpd/lighttpd.conf", ""},
	{"Varnish", "/usr/sbin/varnishd -j unix,user=vcache -F -a :6081", ""},
	{"ngrok", "ngrok http 8080", ""},
	{"cloudflared", "cloudflared tunnel --url http://localhost:8080", ""},
	{"kubectl port-forward", "kubectl --context dev -n shop port-forward svc/web 8080:80", ""},
	{"kubectl proxy", "kubectl proxy --port=8001", ""},
	{"ssh tunnel", "ssh -N -L 8080:localhost:80 host", ""}, {"ssh tunnel", "ssh -fNL8080:localhost:80 host", ""},
	{"ssh tunnel", "ssh host -D 1080", ""}, {"ssh tunnel", "ssh -R 8080:localhost:80 host", ""},

	{"MySQL", "/usr/sbin/mysqld --daemonize", ""},
	{"MariaDB", "/usr/sbin/mariadbd", ""}, {"MariaDB", "/usr/sbin/mysqld", "/usr/sbin/mariadbd"},
	{"Redis", "/usr/bin/redis-server /etc/redis/redis.conf", ""}, {"Redis", "timeout 60 redis-server --port 7000", ""},
	{"Valkey", "valkey-server *:6379|", "/usr/bin/valkey-server"},
	{"KeyDB", "keydb-server *:6379|", "/usr/bin/keydb-server"},
	{"Dragonfly", "dragonfly --logtostderr", ""},
	{"MongoDB", "/usr/bin/mongod --config /etc/mongod.conf", ""},
	{"MongoDB", `C:\Program Files\MongoDB\Server\7.0\bin\mongod.exe|--service`, ""},
	{"memcached", "/usr/bin/memcached -m 64 -p 11211 -u memcache -l 127.0.0.1", ""},
	{"Elasticsearch",
		"/usr/share/elasticsearch/jdk/bin/java -Xms1g --module-path /usr/share/elasticsearch/lib --add-modules=jdk.net " +
			"-m org.elasticsearch.server/org.elasticsearch.bootstrap.Elasticsearch", ""},
	{"OpenSearch",
		"/usr/share/opensearch/jdk/bin/java -Xms1g -cp /usr/share/opensearch/lib/* org.opensearch.bootstrap.OpenSearch",
		""},
	{"Kafka",
		"java -Xmx1G -cp /opt/kafka/libs/kafka_2.13-3.7.0.jar kafka.Kafka /opt/kafka/config/kraft/server.properties",
		""},
	{"ZooKeeper",
		"java -cp /opt/zookeeper/lib/zookeeper-3.9.2.jar org.apache.zookeeper.server.quorum.QuorumPeerMain conf/zoo.cfg", ""},
	{"Cassandra",
		"java -ea -cp /etc/cassandra:/usr/share/cassandra/lib/x.jar org.apache.cassandra.service.CassandraDaemon", ""},
	{"Neo4j",
		"/usr/bin/java -cp /var/lib/neo4j/lib/*: -Dfile.encoding=UTF-8 org.neo4j.server.Neo4jCommunity --home-dir=/var/lib/neo4j", ""},
	{"DynamoDB Local", "java -Djava.library.path=./DynamoDBLocal_lib -jar DynamoDBLocal.jar -sharedDb", ""},
	{"RabbitMQ",
		"/usr/lib/erlang/erts-13.2/bin/beam.smp -W w -MBas ageffcbf -- -root /usr/lib/erlang -bindir /usr/lib/erlang/erts-13.2/bin " +
			"-progname erl -- -home /var/lib/rabbitmq -- -pa  -noshell -noinput -s rabbit boot -boot start_sasl", ""},
	{"CouchDB",
		"/opt/couchdb/bin/../erts-13.2/bin/beam.smp -K true -A 16 -Bd -- -root /opt/couchdb/bin/.. -progname couchdb -- " +
			"-home /opt/couchdb -- -name couchdb@127.0.0.1", ""},
	{"NATS", "nats-server -js", ""},
	{"Mosquitto", "/usr/sbin/mosquitto -c /etc/mosquitto/mosquitto.conf", ""},
	{"etcd", "etcd --name node1", ""},
	{"Consul", "consul agent -dev", ""},
	{"Vault", "vault server -dev", ""},
	{"Nomad", "nomad agent -dev", ""},
	{"MinIO", "minio server /data --console-address :9001", ""},
	{"CockroachDB", "cockroach start-single-node --insecure", ""},
	{"ClickHouse", "/usr/bin/clickhouse-server --config-file=/etc/clickhouse-server/config.xml", ""},
	{"ClickHouse", "./clickhouse server", ""},
	{"InfluxDB", "/usr/bin/influxd -config /etc/influxdb/influxdb.conf", ""},
	{"Meilisearch", "./meilisearch --master-key=aSampleMasterKey", ""},
	{"Typesense", "./typesense-server --data-dir=/tmp --api-key=xyz", ""},
	{"Qdrant", "./qdrant", ""},
	{"Weaviate", "weaviate --host 0.0.0.0 --port 8080 --scheme http", ""},
	{"SQL Server", "/opt/mssql/bin/sqlservr", ""},
	{"Oracle Database", "/opt/oracle/product/23ai/dbhomeFree/bin/tnslsnr LISTENER -inherit", ""},
	{"Temporal", "temporal server start-dev", ""},
	{"PocketBase", "./pocketbase serve", ""},
	{"SurrealDB", "surreal start --user root memory", ""},

	{"Ollama", "/usr/local/bin/ollama serve", ""},
	{"llama.cpp", "llama-server -m model.gguf --port 8080", ""},
	{"Grafana", "/usr/share/grafana/bin/grafana server --config=/etc/grafana/grafana.ini", ""},
	{"Prometheus", "./prometheus --config.file=prometheus.yml", ""},
	{"Alertmanager", "./alertmanager --config.file=alertmanager.yml", ""},
	{"Loki", "loki -config.file=loki-local-config.yaml", ""},
	{"Jaeger", "jaeger-all-in-one --collector.otlp.enabled=true", ""},
	{"OpenTelemetry Collector", "otelcol --config=customconfig.yaml", ""},
	{"Mailpit", "mailpit --listen 127.0.0.1:8025", ""},
	{"MailDev", "node /usr/lib/node_modules/maildev/bin/maildev", ""},
	{"MailCatcher", "ruby /usr/local/bin/mailcatcher --foreground", ""},
	{"Inbucket", "/opt/inbucket/bin/inbucket", ""}, {"Selenium", "java -jar selenium-server-4.21.0.jar standalone", ""},
	{"MailHog", "/home/ann/go/bin/MailHog", ""},
	{"pgAdmin", "/venv/bin/python /venv/bin/pgadmin4", ""},
	{"Erlang port mapper", "/usr/lib/erlang/erts-13.2/bin/epmd -daemon", ""},

	{"Visual Studio Code", "/proc/self/exe --type=utility --utility-sub-type=node.mojom.NodeService --lang=en-GB",
		"/usr/share/code/code"},
	{"Visual Studio Code", "/usr/share/code/code --type=zygote --no-sandbox|", "/usr/share/code/code"},
	{"Visual Studio Code", `C:\Users\Ann\AppData\Local\Programs\Microsoft VS Code\Code.exe|--type=renderer`, ""},
	{"Visual Studio Code", "/Applications/Visual Studio Code.app/Contents/MacOS/Electron|",
		"/Applications/Visual Studio Code.app/Contents/MacOS/Electron"},
	{"Visual Studio Code",
		"/Applications/Visual Studio Code.app/Contents/Frameworks/Code Helper (Plugin).app/Contents/MacOS/Code Helper (Plugin)|" +
			"--type=utility", ""},
	{"Visual Studio Code",
		"/home/ann/.vscode-server/bin/abc/node /home/ann/.vscode-server/bin/abc/out/server-main.js --start-server",
		"/home/ann/.vscode-server/bin/abc/node"},
	{"Cursor", "/usr/share/cursor/cursor --type=utility", ""},
	{"Windsurf", "/usr/share/windsurf/windsurf --type=utility", ""},
	{"Zed", "/home/ann/.local/zed.app/libexec/zed-editor", ""},
	{"IntelliJ IDEA", "/opt/idea/bin/idea", ""},
	{"IntelliJ IDEA", `C:\Program Files\JetBrains\IntelliJ IDEA\bin\idea64.exe|`, ""},
	{"PyCharm", "/opt/pycharm/bin/pycharm", ""},
	{"WebStorm", "/opt/webstorm/bin/webstorm", ""},
	{"GoLand", "/opt/goland/bin/goland", ""},
	{"PhpStorm", "/opt/phpstorm/bin/phpstorm", ""},
	{"RubyMine", "/opt/rubymine/bin/rubymine", ""},
	{"CLion", "/opt/clion/bin/clion", ""},
	{"Rider", "/opt/rider/bin/rider", ""},
	{"RustRover", "/opt/rustrover/bin/rustrover", ""},
	{"DataGrip", "/opt/datagrip/bin/datagrip", ""},
	{"JetBrains Toolbox", "/home/ann/.local/share/JetBrains/Toolbox/bin/jetbrains-toolbox --minimize", ""},
	{"JetBrains IDE",
		"/opt/idea/jbr/bin/java -classpath /opt/idea/lib/app.jar -Didea.paths.selector=IdeaIC2023.1 com.intellij.idea.Main", ""},
	{"Android Studio", "/opt/android-studio/bin/studio", ""},
	{"Sublime Text", "/opt/sublime_text/sublime_text --fwdargv0 /usr/bin/subl", ""},
	{"Google Chrome", "/opt/google/chrome/chrome --remote-debugging-port=9222", ""},
	{"Google Chrome", "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome|",
		"/Applications/Google Chrome.app/Contents/MacOS/Google Chrome"},
	{"Google Chrome", `C:\Program Files\Google\Chrome\Application\chrome.exe|`, ""},
	{"Chromium", "/usr/lib/chromium/chromium --remote-debugging-port=9222", ""},
	{"Brave", "/opt/brave.com/brave/brave", ""},
	{"Microsoft Edge", "/opt/microsoft/msedge/msedge", ""},
	{"Firefox", "/usr/lib/firefox/firefox --remote-debugging-port 6000", ""},
	{"Slack", "/usr/lib/slack/slack", ""},
	{"Discord", "/usr/share/discord/Discord", ""},
	{"Spotify", "/usr/share/spotify/spotify", ""},
	{"Steam", "/home/ann/.local/share/Steam/ubuntu12_32/steam -srt-logger-opened", ""},
	{"Microsoft Teams", "/opt/teams-for-linux/teams-for-linux", ""},
	{"Zoom", "/opt/zoom/zoom", ""}, {"Zoom", "/Applications/zoom.us.app/Contents/MacOS/zoom.us", ""},
	{"Dropbox", "/home/ann/.dropbox-dist/dropbox-lnx.x86_64-206.3.6386/dropbox", ""},
	{"Postman", "/opt/Postman/app/postman", ""},
	{"Insomnia", "/opt/Insomnia/insomnia", ""},
	{"Figma", "/Users/ann/Library/Application Support/Figma/FigmaAgent.app/Contents/MacOS/figma_agent|", ""},
	{"1Password", "/opt/1Password/1password", ""},
	{"KDE Connect", "/usr/bin/kdeconnectd", ""},
	{"Obsidian", "/opt/Obsidian/obsidian", ""},
	{"LM Studio", "/opt/LM-Studio/lm-studio", ""},
}

// args returns the arguments of the line.
func (l toolLine) args() []string {
	if strings.Contains(l.line, "|") {
		return strings.Split(strings.TrimSuffix(l.line, "|"), "|")
	}
	return strings.Split(l.line, " ")
}

// program returns the path of the program of the line.
func (l toolLine) program() string {
	if l.exe == "" {
		return l.args()[0]
	}
	return l.exe
}

func TestToolLines(t *testing.T) {
	for _, l := range slices.Concat(seenLines, documentedLines) {
		m := newMember(member{args: l.args(), exe: l.program()})
		if got := toolOf([]member{m}, ""); got.Name != l.tool {
			t.Errorf("%s, run by %s: got %+v, want %s; it holds %+v", l.line, l.program(), got, l.tool, m.commands)
		}
	}
}

// TestToolsHaveLines checks the table of tools. Each tool with a process has a command line above.
func TestToolsHaveLines(t *testing.T) {
	lines := map[string]bool{"ASP.NET": true} // recognised by a file: see TestInspect
	for _, l := range slices.Concat(seenLines, documentedLines) {
		lines[l.tool] = true
	}
	seen := map[string]bool{}
	for _, e := range tools {
		if !lines[e.name] && e.how != "" {
			t.Errorf("%s has no command line", e.name)
		}
		if seen[e.name] || e.name == "" || e.kind == 0 || e.how == "" && e.images == "" {
			t.Errorf("%+v is an invalid entry", e)
		}
		seen[e.name] = true
		for how := range strings.SplitSeq(e.how, ",") {
			if name, _, _ := strings.Cut(strings.TrimSpace(how), " "); name != strings.ToLower(name) {
				t.Errorf("%s: %s is not in lower case", e.name, name)
			}
		}
	}
}
