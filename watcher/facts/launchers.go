package facts

// A launcher is a program that runs another one, named in its arguments.
type launcher struct {
	lang    string // language of the files that it runs
	files   bool   // runs files only, no programs
	scripts bool   // a name may be a script in the project's package.json
	assigns bool   // takes NAME=value before the command
	cluster bool   // takes several one-letter options in one argument
	bare    bool   // a verb may be missing
	verbs   string // one verb comes before the command
	values  string // options that take the next argument as their value
	inline  string // options that contain the code, or that run nothing
	module  string // option before the name of a module
	line    string // option before a line for a shell
	start   string // option before the command
	skip    int    // arguments of its own before the command
}

// projectScripts are common names of scripts in package.json. A tool may have the same name. "yarn serve" does not say
// whether it runs the script or the tool.
const projectScripts = "serve start dev build preview test watch"

const (
	nodeValues = "-r --require --import --loader --experimental-loader -C --conditions --title --input-type " +
		"--watch-path --env-file --tsconfig -P --project -O --compiler-options"
	npxValues = "-p --package -w --workspace --prefix --cache"
	uvValues  = "--from --with --with-editable --with-requirements -p --python --directory --project --env-file " +
		"--extra --group --package --index"
	debugpyTakes = "--listen --connect --configure-qt --adapter-access-token --parent-session-pid --log-to"
)

// launchers maps names without version to launchers and interpreters. Facts come from the program behind them.
var launchers = map[string]launcher{
	"node": {lang: node, files: true, bare: true, verbs: "inspect", values: nodeValues,
		inline: "-e --eval -p --print -pe -c --check"},
	"nodejs": {lang: node, files: true, values: nodeValues, inline: "-e --eval -p --print"},
	"tsx": {lang: node, files: true, bare: true, verbs: "watch", values: nodeValues,
		inline: "-e --eval -p --print"},
	"ts-node":     {lang: node, files: true, values: nodeValues, inline: "-e --eval -p --print"},
	"ts-node-dev": {lang: node, files: true, values: nodeValues},
	"vite-node":   {lang: node, files: true, values: "-c --config -r --root -m --mode"},
	"nodemon": {lang: node, files: true, line: "-x --exec",
		values: "-e --ext -w --watch -i --ignore -d --delay -C --config -r --require --signal"},
	"deno": {lang: node, verbs: "run serve", values: "-c --config --import-map --lock --port --host"},
	"bun": {lang: node, bare: true, scripts: true, verbs: "run x", inline: "-e --eval -p --print",
		values: "-r --preload --cwd -c --config --port -d --define"},
	"bunx":    {values: npxValues},
	"npx":     {values: npxValues, line: "-c --call"},
	"npx-cli": {values: npxValues, line: "-c --call"},
	"npm":     {verbs: "exec x", values: npxValues, line: "-c --call"},
	"pnpm": {bare: true, scripts: true, verbs: "exec dlx run",
		values: "-C --dir --filter -F --prefix --package"},
	"pnpx":      {values: npxValues},
	"yarn":      {bare: true, scripts: true, verbs: "exec dlx run", values: "--cwd -p --package"},
	"corepack":  {},
	"cross-env": {assigns: true},
	"dotenv":    {bare: true, verbs: "run", values: "-e -v -p -c -f --file"},
	"python":    {lang: python, files: true, cluster: true, values: "-W -X -Q", inline: "-c", module: "-m"},
	"pythonw":   {lang: python, files: true, cluster: true, values: "-W -X -Q", inline: "-c", module: "-m"},
	"pypy":      {lang: python, files: true, cluster: true, values: "-W -X", inline: "-c", module: "-m"},
	"debugpy":   {lang: python, files: true, values: debugpyTakes, inline: "-c --pid", module: "-m"},
	"./pydevd.py": {lang: python, files: true, start: "--file",
		values: "--client --port --vm_type --qt-support --path"},
	"uv":         {lang: python, verbs: "run", values: uvValues, module: "-m --module"},
	"uvx":        {lang: python, values: uvValues},
	"poetry":     {lang: python, verbs: "run", values: "-C --directory -P --project"},
	"pipenv":     {lang: python, verbs: "run"},
	"pdm":        {lang: python, verbs: "run", values: "-p --project"},
	"rye":        {lang: python, verbs: "run"},
	"hatch":      {lang: python, verbs: "run", values: "-e --env -p --project"},
	"pixi":       {lang: python, verbs: "run", values: "-e --environment --manifest-path"},
	"conda":      {lang: python, verbs: "run", values: "-n --name -p --prefix --cwd"},
	"ruby":       {lang: ruby, files: true, values: "-I -r -C -E", inline: "-e", module: "-S"},
	"bundle":     {lang: ruby, verbs: "exec"},
	"rdbg":       {lang: ruby, files: true, values: "--port --host --sock-path --cookie -x -e"},
	"rdebug-ide": {lang: ruby, files: true, values: "-p --port -h --host --dispatcher-port -I"},
	"php":        {lang: php, files: true, values: "-c -d -z", inline: "-r -S -s -w -l -a -i -m -v", start: "-f"},
	"perl":       {lang: other, files: true, values: "-I -M", inline: "-e -E"},
	"raku":       {lang: other, files: true, values: "-I -M", inline: "-e"},
	"rscript":    {lang: other, files: true, inline: "-e"},
	"r":          {lang: other, files: true, start: "-f --file", inline: "-e --args"}, // Rscript runs it
	"elixir": {lang: other, files: true, inline: "-e --eval --rpc-eval",
		values: "-r -pr -pa -pz --app --erl --cookie --name --sname --boot --logger-otp-reports"},
	"dart":    {lang: other, files: true, bare: true, verbs: "run"},
	"escript": {lang: other, files: true},
	"sbcl": {lang: other, files: true, start: "--script --load", inline: "--eval",
		values: "--core --dynamic-space-size --control-stack-size --sysinit --userinit"},
	"tclsh":            {lang: other, files: true, values: "-encoding"},
	"lua":              {lang: other, files: true, values: "-l", inline: "-e"},
	"luajit":           {lang: other, files: true, values: "-l -O -j", inline: "-e"},
	"guile":            {lang: other, files: true, values: "-L -C -x", inline: "-c", start: "-s -l"},
	"racket":           {lang: other, files: true, values: "-l -p -S -X", inline: "-e"},
	"julia":            {lang: other, files: true, values: "-J -C -L -t -p", inline: "-e -E"},
	"dotnet":           {lang: dotnet, files: true, bare: true, verbs: "exec", values: dotnetValues},
	"env":              {assigns: true, values: "-u --unset -C --chdir"},
	"sudo":             {assigns: true, values: "-u --user -g --group -C -D --chdir -h -p -r -t -U"},
	"doas":             {values: "-u -C"},
	"nohup":            {},
	"setsid":           {},
	"time":             {values: "-f -o"},
	"nice":             {values: "-n"},
	"ionice":           {values: "-c -n"},
	"stdbuf":           {values: "-i -o -e"},
	"timeout":          {values: "-s --signal -k --kill-after", skip: 1},
	"caffeinate":       {values: "-t -w"},
	"xvfb-run":         {values: "-n -e -f -p -s"},
	"watchexec":        {values: "-e --exts -w --watch -i --ignore -f --filter"},
	"direnv":           {verbs: "exec", skip: 1},
	"doppler":          {verbs: "run", values: "-p --project -c --config", line: "--command"},
	"op":               {verbs: "run"},
	"mise":             {verbs: "exec x"},
	"pyenv":            {verbs: "exec"},
	"rbenv":            {verbs: "exec"},
	"volta":            {verbs: "run", values: "--node --npm --yarn"},
	"dbus-run-session": {},
}

const dotnetValues = "--depsfile --runtimeconfig --additionalprobingpath --fx-version --roll-forward"
