package explain

import (
	"strconv"
	"strings"

	"porttray/watcher/server"
)

// otherPort returns the command that starts a server like l on another port, or nothing if it is unknown.
func otherPort(l server.Listener, port uint16) string {
	option := portOptions[l.Facts.Tool.Name]
	if l.Container.ID != "" && !l.Hosted() {
		option = "docker run -p {}:…"
	}
	return strings.ReplaceAll(option, "{}", strconv.Itoa(int(port)))
}

// portOptions maps tools to commands from their documentation. {} stands for the port. The keys are the names in the
// tool table of package facts.
var portOptions = map[string]string{
	"Vite":          "vite --port {}",
	"Next.js":       "next dev -p {}",
	"Nuxt":          "nuxt dev --port {}",
	"Astro":         "astro dev --port {}",
	"Remix":         "remix vite:dev --port {}",
	"React Router":  "react-router dev --port {}",
	"Angular":       "ng serve --port {}",
	"Vue CLI":       "vue-cli-service serve --port {}",
	"webpack":       "webpack serve --port {}",
	"Rspack":        "rspack serve --port {}",
	"Rsbuild":       "rsbuild dev --port {}",
	"Parcel":        "parcel --port {}",
	"Storybook":     "storybook dev -p {}",
	"React Scripts": "PORT={} react-scripts start",
	"Gatsby":        "gatsby develop -p {}",
	"Eleventy":      "eleventy --serve --port={}",
	"Docusaurus":    "docusaurus start --port {}",
	"VitePress":     "vitepress dev --port {}",
	"Expo":          "expo start --port {}",
	"Metro":         "react-native start --port {}",
	"Ember":         "ember serve --port {}",
	"BrowserSync":   "browser-sync start --port {}",
	"http-server":   "http-server -p {}",
	"serve":         "serve -l {}",
	"live-server":   "live-server --port={}",
	"json-server":   "json-server --port {}",
	"Prisma Studio": "prisma studio --port {}",
	"Node-RED":      "node-red -p {}",
	"Verdaccio":     "verdaccio --listen {}",
	"Wrangler":      "wrangler dev --port {}",
	"Netlify":       "netlify dev --port {}",
	"Vercel":        "vercel dev --listen {}",

	"Django":             "python manage.py runserver {}",
	"Flask":              "flask run --port {}",
	"FastAPI":            "fastapi dev --port {}",
	"Uvicorn":            "uvicorn --port {} …",
	"Gunicorn":           "gunicorn --bind 127.0.0.1:{} …",
	"Hypercorn":          "hypercorn --bind 127.0.0.1:{} …",
	"Daphne":             "daphne -p {} …",
	"Waitress":           "waitress-serve --listen=127.0.0.1:{} …",
	"Jupyter":            "jupyter lab --port {}",
	"Streamlit":          "streamlit run --server.port {} …",
	"MkDocs":             "mkdocs serve --dev-addr localhost:{}",
	"Sphinx":             "sphinx-autobuild --port {} …",
	"Python http.server": "python3 -m http.server {}",
	"Bokeh":              "bokeh serve --port {}",
	"MLflow":             "mlflow ui --port {}",
	"TensorBoard":        "tensorboard --port {} …",
	"Locust":             "locust --web-port {}",
	"vLLM":               "vllm serve --port {} …",

	"Rails":   "rails server -p {}",
	"Puma":    "puma -p {}",
	"Rack":    "rackup -p {}",
	"Jekyll":  "jekyll serve --port {}",
	"Laravel": "php artisan serve --port={}",
	"Symfony": "symfony serve --port={}",
	"PHP":     "php -S localhost:{}",
	"Phoenix": "PORT={} mix phx.server",

	"Spring Boot": "java -jar … --server.port={}",
	"Quarkus":     "java -Dquarkus.http.port={} -jar …",
	"Jenkins":     "java -jar jenkins.war --httpPort={}",
	"ASP.NET":     "dotnet run --urls http://localhost:{}",

	"Trunk":  "trunk serve --port {}",
	"Hugo":   "hugo server --port {}",
	"Zola":   "zola serve --port {}",
	"mdBook": "mdbook serve --port {}",

	"kubectl port-forward": "kubectl port-forward … {}:…",
	"kubectl proxy":        "kubectl proxy --port={}",
	"ssh tunnel":           "ssh -L {}:…",

	"PostgreSQL": "postgres -p {} …",
	"MySQL":      "mysqld --port={}",
	"MariaDB":    "mariadbd --port={}",
	"Redis":      "redis-server --port {}",
	"Valkey":     "valkey-server --port {}",
	"MongoDB":    "mongod --port {}",
	"memcached":  "memcached -p {}",
	"NATS":       "nats-server -p {}",
	"Mosquitto":  "mosquitto -p {}",
	"PocketBase": "pocketbase serve --http=127.0.0.1:{}",

	"Ollama":    "OLLAMA_HOST=127.0.0.1:{} ollama serve",
	"llama.cpp": "llama-server --port {} …",
	"Mailpit":   "mailpit --listen 127.0.0.1:{}",
}
