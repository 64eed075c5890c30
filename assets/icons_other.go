//go:build !windows

package assets

import "embed"

//go:embed icon-*.png
var icons embed.FS

const extension = ".png"
