defmodule Chat.MixProject do
  use Mix.Project

  # app: :not_this
  def project do
    [
      app: :chat,
      version: "0.1.0",
      elixir: "~> 1.17",
      deps: deps()
    ]
  end

  defp deps do
    [
      {:phoenix, "~> 1.7"},
      {:heroicons, github: "tailwindlabs/heroicons", app: false, compile: false}
    ]
  end
end
