"""Transformers: a tiny language model that learns to count, with its best checkpoint."""

from transformers import LlamaConfig, LlamaForCausalLM, Trainer, TrainingArguments

from unitrack.integrations.transformers import UnitrackCallback

config = LlamaConfig(
    vocab_size=16, hidden_size=16, intermediate_size=16, num_hidden_layers=1, num_attention_heads=2, bos_token_id=0
)
texts = [[start + i for i in range(8)] for start in range(8)]
data = [{"input_ids": text, "labels": text} for text in texts]

callback = UnitrackCallback(log_model=True)
trainer = Trainer(
    LlamaForCausalLM(config),
    TrainingArguments(
        "counting",
        run_name="counting",
        num_train_epochs=3,
        learning_rate=0.01,
        logging_steps=1,
        eval_strategy="epoch",
        save_strategy="epoch",
        load_best_model_at_end=True,
        use_cpu=True,
        disable_tqdm=True,
    ),
    train_dataset=data,
    eval_dataset=data,
    callbacks=[callback],  # or, once it is imported, report_to="unitrack"
)
trainer.train()
trainer.evaluate()
callback.finish()
