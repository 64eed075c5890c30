/*
 rootProject.name = "not-this"
 */
pluginManagement {
	repositories { gradlePluginPortal() } // see "https://plugins.gradle.org"
}
plugins {
	id("org.gradle.toolchains.foojay-resolver-convention") version "0.9.0"
}

// rootProject.name = "nor-this"
rootProject.name = "storefront"
include(":app", ":shared")
