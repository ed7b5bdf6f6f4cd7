"""The broker, Redis / Valkey or RabbitMQ by URL: it carries rings and nothing that matters."""
